"""Training scripts as people write them, each with the lines that watch it marked "# ontogeny".

plain_gpt.py          a plain loop: model returns (logits, loss), memory-mapped tokens, accumulation, ckpt with iter_num
causal_lm.py          Hugging Face Trainer: evaluation, accumulation, bf16, resume_from_checkpoint
self_supervised.py    Lightning: two augmented views, projector and predictor, stop-gradient, momentum encoder
image_classifier.py   a loop by epochs with an averaged model and checkpoint-N.pth.tar
sentence_encoder.py   a transformer with mean pooling, in-batch negatives, checkpoint-N folders

Each has `main(out, watched, resume)`, which returns the losses and the model, and `replayed(out, record)`, which reads
its own checkpoints afterwards. `python -m tests.scripts FOLDER` kills each of them after a checkpoint.
"""

NAMES = ("plain_gpt", "causal_lm", "self_supervised", "image_classifier", "sentence_encoder")

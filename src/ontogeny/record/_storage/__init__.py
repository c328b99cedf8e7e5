"""The files of a record, and who writes them: JSONL log, Parquet shards, branches, lock, record.json.

store.py            one folder: rows go in whole or not at all, one row per key
jsonl_log.py        scores.jsonl and events.jsonl, which are only ever appended to
parquet_shards.py   scores that were moved into Parquet; parquet_format.py: how they lie in a file
recent_rows.py      rows that are in no Parquet shard
branches.py         rows of weights that a run left behind when it was rolled back
lock.py             one process writes at a time
metadata.py         record.json: what a record says about its run; strict_json.py
"""

"""TextGrids in both text formats of Praat."""

from __future__ import annotations

import pytest
from tests.helpers.textgrids import long_format, short_format

from ontogeny.datasets.readers._textgrid import Said, read_textgrid, word_tier
from ontogeny.errors import DataError

PHONES = [(0, 0.1, "HH"), (0.1, 0.25, "AY1")]
WORDS = [(0, 0.25, "HI"), (0.25, 1.5, 'say ""no"" 2 [3]'), (1.5, 2.0, "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("form", [long_format, short_format])
def test_both_formats_say_the_same(tmp_path, form, encoding):
    path = tmp_path / "a.TextGrid"
    path.write_text(form([("phone", PHONES), ("word", WORDS)]), encoding=encoding)
    tiers = read_textgrid(path)
    assert list(tiers) == ["phone", "word"]
    assert tiers["word"] == (
        Said(start=0.0, end=0.25, text="HI"),
        Said(start=0.25, end=1.5, text='say "no" 2 [3]'),
        Said(start=1.5, end=2.0, text=""),
    )
    assert word_tier(path) == tiers["word"]


def test_the_word_tier_is_found_by_name_or_is_the_only_one_and_points_are_passed_over(tmp_path):
    path = tmp_path / "a.TextGrid"
    for tiers in (
        [("Words", WORDS), ("other", PHONES)],
        [("p - phones", PHONES), ("p - words", WORDS)],
        [("a", WORDS)],
    ):
        path.write_text(long_format(tiers, points=True))
        assert [said.text for said in word_tier(path)][:1] == ["HI"]
    path.write_text(long_format([("a", PHONES), ("b", WORDS)]))
    assert [said.text for said in word_tier(path, second=True)][:1] == ["HI"]
    for tiers in ([("a", PHONES), ("b", WORDS)], [("p - words", PHONES), ("q - words", WORDS)]):
        path.write_text(long_format(tiers))
        with pytest.raises(DataError, match="call the one that has the words 'words', and only that one"):
            word_tier(path)
    path.write_text(long_format([], points=True))
    with pytest.raises(DataError, match="there is no tier of intervals, so there are no words"):
        word_tier(path)


def test_files_that_are_no_textgrids_are_refused(tmp_path):
    path = tmp_path / "a.TextGrid"
    with pytest.raises(DataError, match="cannot be read .* run `datalad get`"):
        read_textgrid(path)
    path.write_text("/annex/objects/MD5E-s1--0.TextGrid")
    with pytest.raises(DataError, match="is not a TextGrid in the long or short text format"):
        read_textgrid(path)
    path.write_bytes(b"\xff\x00\xfe")
    with pytest.raises(DataError, match="is not text in UTF-8 or UTF-16"):
        read_textgrid(path)
    whole = long_format([("phone", PHONES), ("word", WORDS)])
    for cut in (whole[: whole.index('text = "HI"')], whole[: whole.index("intervals: size")], whole[:90]):
        path.write_text(cut)
        with pytest.raises(DataError, match="the tiers of this TextGrid cannot be read; it may be cut short"):
            read_textgrid(path)
    path.write_text(whole.replace("size = 2 ", "size = x "))
    with pytest.raises(DataError, match="cannot be read; it may be cut short"):
        read_textgrid(path)


def test_two_tiers_of_one_name_are_refused_where_they_say_different_things(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(long_format([("word", WORDS), ("word", PHONES)]))
    with pytest.raises(DataError, match="two tiers are called 'word', with other intervals; rename one of them"):
        read_textgrid(path)
    path.write_text(long_format([("word", WORDS), ("word", WORDS)]))
    assert len(word_tier(path)) == 3

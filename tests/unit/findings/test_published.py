"""Published tables: those of the package, and those whose files lie elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from ontogeny import load_published
from ontogeny.errors import DatasetNotFoundError
from ontogeny.findings import published_depth, published_regions

TABLE = "bin,depth,subject,modality,yeo7,score,,empty\n0,1/8,S01,language,Visual,0.5,0,\n7,8/8,S02,vision,Limbic,,1,2\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    (tmp_path / "published").mkdir()
    return tmp_path / "published"


def test_a_table_elsewhere_is_read_by_column_with_numbers_as_numbers(folder):
    (folder / "yeo7_depth.csv").write_text(TABLE)
    table = load_published("shen2026").read("yeo7_depth")
    assert list(table) == ["bin", "depth", "subject", "modality", "yeo7", "score", "empty"]
    assert table["bin"].tolist() == [0, 7]
    assert table["bin"].dtype == np.int64
    assert table["depth"].tolist() == ["1/8", "8/8"]
    np.testing.assert_array_equal(table["score"], [0.5, np.nan])
    np.testing.assert_array_equal(table["empty"], [np.nan, 2])


def test_a_table_of_another_name_is_refused_with_the_nearest_one(folder):
    with pytest.raises(DatasetNotFoundError, match="has no table 'yeo7_dept' to read. Did you mean 'yeo7_depth'"):
        load_published("shen2026").read("yeo7_dept")
    with pytest.raises(DatasetNotFoundError, match="there is no publication 'shen2025'. Did you mean 'shen2026'"):
        load_published("shen2025")


def test_a_file_that_is_absent_is_asked_for_by_place_and_source(folder, tmp_path):
    with pytest.raises(DatasetNotFoundError) as missing:
        load_published("shen2026").read("regions_language")
    text = str(missing.value)
    assert text.startswith(
        f"regions_language.csv is not on this machine; looked at {folder / 'regions_language.csv'} and "
    )
    assert "github.com/FloyedShen/BrainAlign at commit e2c1257" in text
    assert text.endswith("set ONTOGENY_DATA to a folder that has published/regions_language.csv")
    for read in (published_depth, lambda: published_regions("vision")):
        with pytest.raises(DatasetNotFoundError, match="is not on this machine"):
            read()


def test_the_tables_become_cells(folder):
    (folder / "yeo7_depth.csv").write_text(TABLE.replace(",,1,2", ",0.25,1,2"))
    cells = published_depth()
    assert cells.depth.tolist() == [0.0625, 0.9375]
    assert cells.modality.tolist() == ["text", "image"]
    assert cells.model.tolist() == ["mean of all language models", "mean of all vision models"]
    assert np.isnan(cells.chance).all()
    rows = "1,Somatomotor,S01,0.5,0\nV1,Visual,S01,0.25,0\n"
    (folder / "regions_vision.csv").write_text(
        "metric,tgt_feature,yeo7,tgt_model,score,normalized_score\n"
        + "".join(f"{metric},{row}\n" for metric in ("cka_28", "mutual_knn_20") for row in rows.splitlines())
    )
    cells, groups = published_regions("vision")
    assert cells.roi.tolist() == ["1", "V1"] * 2
    assert np.isnan(cells.chance[:2]).all()
    assert cells.chance[2:].tolist() == [20 / 8849] * 2
    assert groups == {"1": "Somatomotor", "V1": "Visual"}
    assert cells.metric.tolist() == ["cka_28", "cka_28", "mutual_knn_20", "mutual_knn_20"]

"""Manifests: where public checkpoint series are and how their steps are named, one YAML file each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ontogeny._import_string import import_from_string
from ontogeny.errors import ConfigError, nearest
from ontogeny.replay._strict_yaml import check_keys, inside, read_yaml
from ontogeny.replay.checkpoint_series import CheckpointSeries
from ontogeny.replay.sources import files, hub, repositories
from ontogeny.replay.step_templates import Naming

__all__ = ["Manifest", "find_manifest", "load_manifest", "read_manifest"]

Source = Literal["hub", "repositories", "files"]

_NAMING = ("tokens_per_step", "updates_per_count", "tokens_per_count", "zero_count")
_NEEDED = {"hub": ("repository",), "repositories": ("repository", "steps"), "files": ("template",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One family of checkpoint series.

    Args:
        name: of a series; with the members' places where there are several ("pythia-{size}-deduped").
        source: "hub": revisions of one repository; "repositories": one per step; "files": files that the user has got.
        repository: its name, with the members' places, and `{step}` for "repositories".
        revisions: how their names say the step, for "hub".
        template: of file names, for "files".
        members: place -> what can stand there; every combination is a series.
        steps: optimizer updates that are documented; () where only a listing tells.
        tokens_per_step: tokens of one optimizer update.
        updates_per_count: see `Naming`, as are tokens_per_count and zero_count.
        tokens_per_count: see `Naming`.
        zero_count: see `Naming`.
        key: where in a file the weights are, for "files".
        folder: where the files are, for "files" that come with the manifest: under the manifest's own folder.
        model: address "module:attribute" of what makes the model, for "files".
        transform: address of the function image -> tensor that the model was trained with.
        licence: of the weights, where it is documented.
        citation: of the paper.
        about: one sentence.
        notes: what a user has to know.
        documents: where all this is written.
    """

    name: str
    source: Source
    repository: str = ""
    revisions: tuple[str, ...] = ("step{step}",)
    template: str = ""
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    steps: tuple[int, ...] = ()
    tokens_per_step: int | None = None
    updates_per_count: int | None = None
    tokens_per_count: int | None = None
    zero_count: int = 0
    key: str = ""
    folder: str = ""
    model: str = ""
    transform: str = ""
    licence: str = ""
    citation: str = ""
    about: str = ""
    notes: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @property
    def series(self) -> dict[str, dict[str, str]]:
        """Names of all series, with what stands in the members' places."""
        combinations = itertools.product(*self.members.values())
        chosen = [dict(zip(self.members, values, strict=True)) for values in combinations]
        return {_filled(self.name, member): member for member in chosen}

    def naming(self, templates: tuple[str, ...]) -> Naming:
        """How the series' names say their step."""
        return Naming(templates=templates, **{name: getattr(self, name) for name in _NAMING})


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """A manifest from its file; nothing else is asked.

    Raises:
        ConfigError: not there, not YAML, an unknown or missing key, or a value that cannot be.
    """
    file = Path(path)
    content = read_yaml(file)
    check_keys(str(file), content, [f.name for f in fields(Manifest)])
    manifest = Manifest(**{key: _value(file, key, value) for key, value in content.items()} | _required(file, content))
    _examine(file, manifest)
    return manifest


def _required(file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    for key in ("name", "source"):
        if not isinstance(content.get(key), str):
            raise ConfigError(f"{file}: {key} is needed, as a text")
    if content["source"] not in _NEEDED:
        raise ConfigError(f"{file}: source is one of {', '.join(_NEEDED)}, got {content['source']!r}")
    for key in _NEEDED[content["source"]]:
        if not content.get(key):
            raise ConfigError(f"{file}: a manifest with source {content['source']!r} needs {key}")
    return {key: content[key] for key in ("name", "source")}


def _value(file: Path, key: str, value: Any) -> Any:
    if key == "steps":
        return tuple(sorted(set(_steps(file, value))))
    if key == "members":
        if not isinstance(value, dict) or not all(isinstance(choices, list) and choices for choices in value.values()):
            raise ConfigError(f"{file}: members holds, for each place in the names, a list of what can stand there")
        return {str(place): tuple(map(str, choices)) for place, choices in value.items()}
    if key in ("revisions", "notes", "documents"):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{file}: {key} is a text or a list of texts, got {value!r}")
        return tuple(texts)
    expected = int if key in _NAMING else str
    if type(value) is not expected:
        raise ConfigError(f"{file}: {key} should be of type {expected.__name__}, got {value!r}")
    return str(inside(file, "folder", str(value))) if key == "folder" else value


def _steps(file: Path, value: Any) -> Iterator[int]:
    """Numbers, and ranges {from: 1000, to: 143000, by: 1000} with both ends."""
    for part in value if isinstance(value, list) else [value]:
        if type(part) is int:
            yield part
        elif (
            isinstance(part, dict) and set(part) == {"from", "to", "by"} and all(type(n) is int for n in part.values())
        ):
            yield from range(part["from"], part["to"] + 1, part["by"])
        else:
            raise ConfigError(f"{file}: steps holds numbers and ranges {{from: , to: , by: }}, got {part!r}")


def _examine(file: Path, manifest: Manifest) -> None:
    """Every place is filled by a member, and the templates can be read."""
    for name, member in manifest.series.items():
        for text in (name, "" if manifest.source == "repositories" else _filled(manifest.repository, member)):
            if "{" in text:
                raise ConfigError(
                    f"{file}: {text!r} has a place that no member fills. {nearest(text, manifest.members)}"
                )
    if manifest.source == "files":
        manifest.naming((manifest.template,))
    elif manifest.source == "hub":
        manifest.naming(manifest.revisions)


def find_manifest(name: str, *, folder: str | os.PathLike[str] | None = None) -> tuple[Manifest, dict[str, str]]:
    """The manifest that has a series of this name, and what stands in its members' places.

    Args:
        name: of a series ("pythia-70m-deduped"), or path of a manifest with one series.
        folder: of manifests; where not given, those that come with the package, then "checkpoints" in the current
            folder.

    Raises:
        ConfigError: no such series, no manifests, or a manifest of several series that was asked for by its path.
    """
    if name.endswith((".yaml", ".yml")):
        manifest = read_manifest(name)
        if len(manifest.series) > 1:
            raise ConfigError(
                f"{name} has {len(manifest.series)} series; name one of {', '.join(list(manifest.series)[:8])}"
            )
        return manifest, next(iter(manifest.series.values()))
    names: list[str] = []
    for place in _places(folder):
        known = _series(place)
        if name in known:
            return known[name]
        names += known
    raise ConfigError(f"there is no series {name!r} in the manifests. {nearest(name, names)}")


def _places(folder: str | os.PathLike[str] | None) -> list[Path]:
    """Folders of manifests, in the order in which they are asked."""
    if folder is not None:
        return [Path(folder)]
    own = Path("checkpoints")
    return [_shipped(), *([own] if any(own.glob("*.yaml")) else [])]


def _shipped() -> Path:
    """The manifests that come with the package; of a checkout, those at its top."""
    package = Path(__file__).resolve().parents[1]
    within = package / "checkpoints"
    return within if within.is_dir() else package.parents[1] / "checkpoints"


def _series(folder: Path) -> dict[str, tuple[Manifest, dict[str, str]]]:
    """Name -> manifest and members."""
    found = sorted(folder.glob("*.yaml"))
    if not found:
        raise ConfigError(f"there are no manifests (*.yaml) in {folder}; say where they are with folder=")
    manifests = [read_manifest(path) for path in found]
    return {title: (manifest, member) for manifest in manifests for title, member in manifest.series.items()}


def load_manifest(
    name: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    files_in: str | os.PathLike[str] | None = None,
    **loading: Any,
) -> CheckpointSeries:
    """A series by its name in the manifests.

    Nothing is asked of the network before a checkpoint is needed, but where the manifest has no steps: then the
    revisions are listed now.

    Args:
        name: "pythia-70m-deduped"; see `find_manifest`.
        folder: of manifests.
        cache_dir: folder of downloads, see `sources.hub`.
        files_in: the folder with the files, for a manifest of files.
        **loading: see `Loading`; for a manifest of files see `sources.files`: model, prefix, key.

    Raises:
        ConfigError: no such series, or an option that is missing or unknown.
        DownloadError: the revisions cannot be listed.
    """
    manifest, member = find_manifest(name, folder=folder)
    title = _filled(manifest.name, member)
    if manifest.source == "files":
        return _of_files(manifest, title, files_in, loading)
    repository = _filled(manifest.repository, member)
    if manifest.source == "repositories":
        pattern = manifest.naming((repository,))
        return repositories(pattern, steps=manifest.steps, name=title, cache_dir=cache_dir, **loading)
    return hub(
        repository,
        revisions=manifest.naming(manifest.revisions),
        steps=manifest.steps or None,
        name=title,
        cache_dir=cache_dir,
        **loading,
    )


def _of_files(
    manifest: Manifest, title: str, files_in: str | os.PathLike[str] | None, options: Mapping[str, Any]
) -> CheckpointSeries:
    options = {**({"model": manifest.model} if manifest.model else {}), **options}
    files_in = files_in or manifest.folder or None
    if files_in is None or "model" not in options:
        raise ConfigError(
            f"{title} is a series of files {manifest.template}: get them ({' '.join(manifest.documents[:1])}), and "
            "give their folder as files_in= and what makes the model as model='module:function'"
        )
    chosen = {"key": manifest.key or None, **options}
    naming = manifest.naming((manifest.template,))
    found = files(Path(files_in) / manifest.template, naming=naming, name=title, **chosen)
    return replace(found, transform=partial(_at_any_step, manifest.transform)) if manifest.transform else found


def _at_any_step(address: str, _: int) -> Any:
    return import_from_string(address)


def _filled(text: str, member: Mapping[str, str]) -> str:
    for place, value in member.items():
        text = text.replace("{" + place + "}", value)
    return text

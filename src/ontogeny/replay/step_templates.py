"""Names of checkpoints -> steps and tokens, by templates such as "stage1-step{step}-tokens{tokens:B}"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ontogeny.errors import CheckpointError
from ontogeny.replay.checkpoint_series import UPDATES, CheckpointProblem

__all__ = ["Named", "Naming", "known_tokens", "named"]

_PLACE = re.compile(r"\{(?P<what>[a-z]+)(?::(?P<how>[^}]*))?\}")
_KNOWN = ("step", "tokens", "count")
_SCALE = {"": 1, "k": 1_000, "M": 1_000_000, "B": 1_000_000_000, "T": 1_000_000_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One name and what it says.

    Args:
        name: as it is.
        step: optimizer updates.
        tokens: tokens seen, None where not known.
    """

    name: str
    step: int
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How names say their step.

    In a template `{step}` is a number of optimizer updates, `{tokens}` a number of tokens, and `{count}` a number of
    something else, such as epochs or chunks of data. `{step:k}` is a number with a k behind it (20k), as are M, B and
    T; `{count:03}` is padded with zeros. The rest of a template is plain text and has to be there.

    Args:
        templates: tried in this order; the first that fits the whole name counts.
        tokens_per_step: tokens of one optimizer update; then tokens are counted, and the name's number (which is often
            rounded) is only compared.
        updates_per_count: optimizer updates of one `{count}`; None: the counts stand for steps, and the series says so.
        tokens_per_count: tokens of one `{count}`, where that is known better than tokens of a step.
        zero_count: the count of a checkpoint before any update (-1 where number 0 has one count of training in it).
    """

    templates: tuple[str, ...]
    tokens_per_step: int | None = None
    updates_per_count: int | None = None
    tokens_per_count: int | None = None
    zero_count: int = 0

    def __post_init__(self) -> None:
        for template in self.templates:
            _pattern(template)

    @classmethod
    def of(cls, what: str | Sequence[str] | Naming, *, tokens_per_step: int | None = None) -> Naming:
        """A template, several, or a naming."""
        if isinstance(what, Naming):
            return what if tokens_per_step is None else replace(what, tokens_per_step=tokens_per_step)
        return cls(templates=(what,) if isinstance(what, str) else tuple(what), tokens_per_step=tokens_per_step)

    @property
    def unit(self) -> str:
        """What the steps count."""
        counted = any("{count" in template for template in self.templates)
        return "counts in the name" if counted and self.updates_per_count is None else UPDATES

    def read(self, name: str) -> tuple[Named, CheckpointProblem | None] | None:
        """What a name says, and whether its tokens do not fit its step; None where no template fits."""
        for template in self.templates:
            found = _pattern(template).fullmatch(name)
            if found:
                groups = found.groupdict()
                step = _number(groups["step"]) if groups.get("step") else self.counted(int(groups["count"]))
                tokens = _number(groups["tokens"]) if groups.get("tokens") else None
                return self._checked(name, step, tokens, groups.get("tokens") or "")
        return None

    def write(self, step: int) -> Named:
        """The name of a step, by the first template.

        Raises:
            CheckpointError: the template has tokens, which are not counted (no tokens_per_step), or the step is no
                whole count.
        """
        tokens = self._tokens(step)
        values: dict[str, int | None] = {"step": step, "tokens": tokens}
        if "{count" in self.templates[0]:
            values["count"] = self._count(step)
        return Named(name=_PLACE.sub(lambda m: _text(m, values), self.templates[0]), step=step, tokens=tokens)

    def _tokens(self, step: int) -> int | None:
        if self.tokens_per_count is not None:
            return (self._count(step) - self.zero_count) * self.tokens_per_count
        return None if self.tokens_per_step is None else step * self.tokens_per_step

    def counted(self, count: int) -> int:
        """Optimizer updates of a `{count}`."""
        return (count - self.zero_count) * (self.updates_per_count or 1)

    def _count(self, step: int) -> int:
        count, rest = divmod(step, self.updates_per_count or 1)
        if rest:
            raise CheckpointError(f"step {step} is not a multiple of {self.updates_per_count}, which one count has")
        return count + self.zero_count

    def _checked(self, name: str, step: int, tokens: int | None, text: str) -> tuple[Named, CheckpointProblem | None]:
        """Counted tokens where possible; OLMo's names are rounded up, others down, so one unit of the name is free."""
        counted = self._tokens(step)
        if counted is None:
            return Named(name=name, step=step, tokens=tokens), None
        problem = None
        if tokens is not None and abs(tokens - counted) > _SCALE[_suffix(text)]:
            reason = f"says {text} tokens, but {step} steps are {counted}; the counted ones are used"
            problem = CheckpointProblem(kind="tokens", what=name, step=step, reason=reason)
        return Named(name=name, step=step, tokens=counted), problem


def named(
    names: Iterable[str], naming: Naming, *, ignore: Sequence[str] = ()
) -> tuple[dict[int, Named], tuple[CheckpointProblem, ...]]:
    """Step -> name, rising, and what was found wrong.

    Args:
        names: revisions, folders or files.
        naming: how they say their step.
        ignore: names that need not say one ("main").

    Returns:
        One name a step; the first in the templates' order, then by the alphabet, where two say the same.
    """
    found: dict[int, Named] = {}
    problems: list[CheckpointProblem] = []
    for name in sorted(names, key=lambda n: (_rank(n, naming), n)):
        groups = naming.read(name)
        if groups is None:
            if name not in ignore:
                reason = f"does not say its step as {' or '.join(naming.templates)} does; left out"
                problems.append(CheckpointProblem(kind="unread", what=name, reason=reason))
            continue
        one, problem = groups
        problems += [problem] if problem else []
        first = found.setdefault(one.step, one)
        if first is not one:
            reason = f"duplicate of step {one.step}; {first.name} is used"
            problems.append(CheckpointProblem(kind="twice", what=name, step=one.step, reason=reason))
    return dict(sorted(found.items())), tuple(problems)


def known_tokens(names: Iterable[Named]) -> tuple[int | None, ...]:
    """Tokens of each name; () where no name has any."""
    tokens = tuple(one.tokens for one in names)
    return tokens if any(count is not None for count in tokens) else ()


def _rank(name: str, naming: Naming) -> int:
    fitting = (i for i, template in enumerate(naming.templates) if _pattern(template).fullmatch(name))
    return next(fitting, len(naming.templates))


def _pattern(template: str) -> re.Pattern[str]:
    parts, at, seen = [], 0, []
    for place in _PLACE.finditer(template):
        what, how = place["what"], place["how"] or ""
        if what not in _KNOWN or (how not in _SCALE and not how.isdigit()):
            raise CheckpointError(
                f"template {template!r}: {place[0]} is not understood; write {{step}}, {{count}} or {{tokens}}, with "
                ":k, :M, :B or :T for thousands to trillions, or :03 for zeros in front"
            )
        suffix = "" if how.isdigit() else how
        parts += [
            re.escape(template[at : place.start()]),
            rf"(?P<{what}>\d+(?:\.\d+)?{suffix})" if suffix else rf"(?P<{what}>\d+)",
        ]
        seen.append(what)
        at = place.end()
    if not {"step", "count"} & set(seen) or len(seen) != len(set(seen)):
        raise CheckpointError(f"template {template!r} has to have {{step}} or {{count}} in it, once")
    return re.compile("".join(parts) + re.escape(template[at:]))


def _suffix(text: str) -> str:
    return text[-1] if text[-1:].isalpha() else ""


def _number(text: str) -> int:
    suffix = _suffix(text)
    return int(Decimal(text.removesuffix(suffix)) * _SCALE[suffix])


def _text(place: re.Match[str], values: dict[str, int | None]) -> str:
    value, how = values[place["what"]], place["how"] or ""
    if value is None:
        raise CheckpointError(f"a name with {place[0]} can only be made with tokens_per_step; list the names instead")
    if how.isdigit():
        return str(value).zfill(int(how))
    if value % _SCALE[how] and place["what"] != "tokens":
        raise CheckpointError(f"step {value} is no whole number of {_SCALE[how]}s, as {place[0]} needs")
    return f"{math.ceil(value / _SCALE[how])}{how}"

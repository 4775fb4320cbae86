"""What a case's name is made of, words with their numbers, dates and codes, and what these mean."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from medseg.scans.names import word_set

_PATIENT = word_set(
    "animal donor mouse participant pat patient person pid pt ptid rat sub subj subject volunteer"
)
"""Words whose number says who it is."""
_COLLECTION = word_set(
    "batch center centre clinic cohort dataset fold grade hospital institution scanner set site "
    "task vendor version year"
)
"""Words whose number says which of many collections it is from."""
_SPLIT = word_set("testing training validation")
"""Words that say so without a number."""
_TIMES = word_set(
    "baseline day days followup mo month months mth ses session timepoint tp visit week weeks wk "
    "yr years"
)
_SLICES = word_set(
    "aug augmented crop cropped fr frame frames patch sl slc slice slices tile tiles z"
)
"""Words whose number makes sense within one scan only."""
_OWN = word_set("exam image img scan study vol volume")
"""Words whose number may be all that tells cases apart: a part only behind another number."""
_PARTS = (
    _TIMES
    | _SLICES
    | _OWN
    | word_set(
        "acq acquisition annotator copy date echo lesion nodule observer part phase rad rater "
        "reader rep repeat repetition run series slab stack time tumor tumour view"
    )
)
"""Words whose number says which part of someone it is, once it is known whose."""
_GLUED = word_set("ct d dx f m mr p s t v w z")
"""The same, where the number stands at the word: v2, m12."""
_SIDES = word_set(
    "l left lh lt od os r rh right rt bilateral "
    "dia diastole ed es exp expiration insp inspiration rest stress sys systole prone supine "
    "after baseline before followup post pre "
    "arterial contrast delayed native plain portal venous "
    "2ch 3ch 4ch ap ax axial cc cor coronal lat lax mlo pa sag sagittal sax "
    "adc bold cbct ct dwi flair mr mri pd pdw pet t1 t1c t1ce t1gd t1w t2 t2w us "
    "aug augmented copy flip flipped hflip mirrored orig original rot rot180 rot270 rot90 rotated "
    "vflip"
)
"""Words that say without a number which part of someone it is."""
_KNOWN = _PATIENT | _PARTS | _GLUED | _SIDES

_ATOMS = re.compile(
    r"""(?P<code>
        [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}  # UUID
        | (?<![\d.])\d+(?:\.\d+){3,}(?![\d.])                         # UID of DICOM
        | (?<![0-9a-z])(?=\d*[a-z])(?=[a-z]*\d)[0-9a-f]{16,}(?![0-9a-z])
      )
      | (?P<date>(?<!\d)(?:
          (?:19|20)\d\d(?P<a>[-_.]?)(?:0[1-9]|1[0-2])(?P=a)(?:0[1-9]|[12]\d|3[01])
          | (?:0[1-9]|[12]\d|3[01])(?P<b>[-_.])(?:0[1-9]|1[0-2])(?P=b)(?:19|20)\d\d
        )(?:t\d{4,6}z?)?(?!\d))
      | (?P<who>                                                      # TCGA barcode, BIDS
        (?<![0-9a-z])(?:tcga(?P<c>[-_. ])[a-z0-9]{2}(?P=c)[a-z0-9]{4}|sub-[a-z0-9]+)(?![a-z0-9])
      )
      | (?P<text>[^\W_]+)
    """,
    re.VERBOSE,
)
_TWO_WORDS = re.compile(r"follow[-_ .]up|time[-_ .]point")
_RUNS = re.compile(r"\d+|[^\W\d_]+")
_YEAR = re.compile(r"(19[5-9]|20[0-4])\d")


class Unit(NamedTuple):
    """A word with its number, or a word, number, date or code alone.

    Attributes:
        kind: `who`: says by itself who it is. `part`: which part of someone, by a number. `side`:
            the same without a number. `other`: anything else.
        text: In lower case, without separators.
        start: Where it begins in the name.
        end: Behind its last letter.
        word: Its word, if it has one.
        number: Its number, date or code, if it has one.
    """

    kind: Literal["who", "part", "side", "other"]
    text: str
    start: int
    end: int
    word: str = ""
    number: str = ""

    @property
    def time(self) -> bool:
        """Whether it says when."""
        return self.word in _TIMES

    @property
    def slice(self) -> bool:
        """Whether its number makes sense within one scan only."""
        return self.word in _SLICES

    @property
    def own(self) -> bool:
        """Whether its number may be all that tells cases apart."""
        return self.word in _OWN

    @property
    def collection(self) -> bool:
        """Whether it says which of many collections it is from."""
        return self.word in _COLLECTION or (self.word in _SPLIT and not self.number)

    @property
    def year(self) -> bool:
        """Whether it may be a year."""
        return not self.word and bool(_YEAR.fullmatch(self.number))


class _Token(NamedTuple):
    kind: Literal["who", "date", "code", "number", "word"]
    text: str
    start: int
    end: int


def units_of(name: str) -> tuple[Unit, ...]:
    """A name from left to right."""
    tokens = [*_tokens(name)]
    units: list[Unit] = []
    place = 0
    while place < len(tokens):
        unit, used = _unit(tokens[place], tokens[place + 1 : place + 2])
        units.append(unit)
        place += used
    return tuple(units)


def _unit(token: _Token, behind: Sequence[_Token]) -> tuple[Unit, int]:
    """The unit that begins with a token, and of how many it is made."""
    kind, text, start, end = token
    if kind == "who":
        return Unit("who", text, start, end, number=text), 1
    if kind == "date":
        return Unit("part", text, start, end, number=text), 1
    if behind and kind in ("word", "number"):
        pair = _pair(token, behind[0])
        if pair is not None:
            return pair, 2
    if kind == "word":
        return Unit("side" if text in _SIDES else "other", text, start, end, text), 1
    return Unit("other", text, start, end, number=text), 1


def _pair(token: _Token, after: _Token) -> Unit | None:
    """A word and its number, or a number and its unit such as 12mo, as one."""
    glued = token.end == after.start
    text, start, end = token.text + after.text, token.start, after.end
    if glued and text in _SIDES:
        return Unit("side", text, start, end)
    if token.kind == "number":
        timed = glued and after.kind == "word" and after.text in _TIMES | {"d", "m", "w", "y"}
        return Unit("part", text, start, end, after.text, token.text) if timed else None
    kind = _kind(token.text, glued=glued) if after.kind in ("number", "code") else None
    return kind and Unit(kind, text, start, end, token.text, after.text)


def _kind(word: str, *, glued: bool) -> Literal["who", "part", "other"] | None:
    """What a word's number says; None where the two do not belong together."""
    if word in _PATIENT:
        return "who"
    if word in _PARTS or (glued and word in _GLUED):
        return "part"
    return "other" if glued or word in _COLLECTION else None


def _tokens(name: str) -> Iterator[_Token]:
    """Dates and codes whole, all else in words and numbers."""
    # One letter for one, so that places in the name stay: ß folds into two.
    lower = "".join(folded if len(folded := x.casefold()) == 1 else x for x in name)
    joined = _TWO_WORDS.sub(lambda found: re.sub(r"[-_ .]", "", found[0]).ljust(10)[:9], lower)
    lower = joined if len(joined) == len(lower) else lower
    for found in _ATOMS.finditer(lower):
        start, end = found.span()
        if found["who"]:
            yield _Token("who", found[0], start, end)
        elif found["date"]:
            yield _Token("date", found[0], start, end)
        elif found["code"]:
            yield _Token("code", found[0], start, end)
        else:
            yield from _pieces(found[0], start)


def _pieces(text: str, start: int) -> Iterator[_Token]:
    """`frame01` as a word and a number; `12b` as two numbers; a code such as A0S9V9 whole."""
    if text in _SIDES:  # t1w
        yield _Token("word", text, start, start + len(text))
        return
    runs = [*_RUNS.finditer(text)]
    later = [run[0] for run in runs[1:] if not run[0].isdigit()]
    if len(runs) > 2 and not all(word in _KNOWN for word in later):
        yield _Token("code", text, start, start + len(text))
        return
    for place, run in enumerate(runs):
        letter = place > 0 and len(run[0]) == 1 and run[0] not in _KNOWN
        kind = "number" if run[0].isdigit() or letter else "word"
        yield _Token(kind, run[0], start + run.start(), start + run.end())

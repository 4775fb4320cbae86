"""Whether validation still becomes better."""

from typing import Any

RISE = 0.001
"""Of the mean Dice; less is no rise."""
_FEWEST = 3
"""Validations without a rise that make a plateau, however long it lasts."""


class Patience:
    """Notices a plateau: a mean Dice that has not risen for a share of the training's length.

    It is not counted in validations, since there are as many as a share of the time holds: few of
    dear cases, many in a long run. While nothing is found at all (a Dice of 0), and while the
    learning rate still rises, there is no plateau.

    Args:
        share: Of the length, for how long it must not have risen; None: there is no plateau.
        warmup: Share of the length in which the learning rate rises.
    """

    def __init__(self, share: float | None, warmup: float) -> None:
        self._share, self._warmup = share, warmup
        self.forget()

    def forget(self) -> None:
        """Begin anew: other cases are scored, or the length is another."""
        self._top = self._since = 0.0
        self._without = 0

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"top": self._top, "since": self._since, "without": self._without}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on."""
        self._top, self._since = state_dict["top"], state_dict["since"]
        self._without = state_dict["without"]

    def plateau(self, dice: float, used: float) -> str:
        """Take in a score.

        Args:
            dice: Mean over classes.
            used: How much of the length is used.

        Returns:
            What plateau there is, in words; nothing where there is none.
        """
        rises = dice >= self._top + RISE
        if rises:
            self._top = dice
        if rises or self._top == 0 or used <= self._warmup:
            self._since, self._without = used, 0
            return ""
        self._without += 1
        is_long = self._share is not None and used - self._since >= self._share
        if not is_long or self._without < _FEWEST:
            return ""
        return f"validation Dice no better than {self._top:.3f} for {self._without} validations"

"""A progress bar in a terminal or a notebook, with the loss and the rate."""

from __future__ import annotations

from typing import Any

__all__ = ["Progress"]


class Progress:
    """``tqdm.auto`` behind three calls; nothing is imported or shown if not ``enabled``."""

    def __init__(self, total: int, enabled: bool, description: str = "", unit: str = "step"):
        self.enabled = enabled
        self._bar: Any = None
        if enabled:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, desc=description, unit=unit, dynamic_ncols=True, leave=True)

    def advance(self, steps: int, **shown: Any) -> None:
        """Move on by ``steps``, showing the given values."""
        if self._bar is not None:
            self._bar.set_postfix({k: f"{float(v):.4g}" for k, v in shown.items()}, refresh=False)
            self._bar.update(steps)

    def expect(self, more: int) -> None:
        """Lengthen the bar: there is more to do than was known."""
        if self._bar is not None:
            self._bar.total += more
            self._bar.refresh()

    def describe(self, description: str) -> None:
        """Change the text before the bar."""
        if self._bar is not None:
            self._bar.set_description(description)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

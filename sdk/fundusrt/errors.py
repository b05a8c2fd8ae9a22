"""Every error FundusRT raises on purpose.

    FundusRTError
    ├── InvalidInput            an image or array that cannot be used
    ├── OutputError             a result that cannot be written
    ├── UsageError              an option that is unknown or does not fit the others
    ├── BundleError             a bundle that is incomplete, changed or malformed
    │   └── CertificateError    a bundle whose certificate is missing or does not hold
    └── BackendUnavailable      a backend, device or precision this machine cannot run
        └── EngineMismatch      a compiled engine made for something else

Each message names the subject, what was got, what was expected and the next step.
"""

from __future__ import annotations

__all__ = [
    "BackendUnavailable",
    "BundleError",
    "CertificateError",
    "EngineMismatch",
    "FundusRTError",
    "InvalidInput",
    "OutputError",
    "UsageError",
]


class FundusRTError(Exception):
    """Root of all FundusRT errors.

    Args:
        subject: what is wrong, usually a file or an argument name.
        got: what was found.
        expected: what was needed.
        fix: the next step for the caller.
    """

    code = "fundusrt-error"

    def __init__(
        self,
        subject: object,
        *,
        got: object | None = None,
        expected: object | None = None,
        fix: str | None = None,
    ) -> None:
        self.subject = str(subject)
        self.got = None if got is None else str(got)
        self.expected = None if expected is None else str(expected)
        self.fix = fix
        parts = [
            None if self.got is None else f"got {self.got}",
            None if self.expected is None else f"expected {self.expected}",
            fix,
        ]
        detail = "; ".join(part for part in parts if part)
        super().__init__(f"{self.subject}: {detail}" if detail else self.subject)

    def to_dict(self) -> dict[str, str | None]:
        """Return what a program needs to know: code, message, and its parts."""
        parts = {"subject": self.subject, "got": self.got, "expected": self.expected, "fix": self.fix}
        return {"code": self.code, "message": str(self), **parts}

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.subject, self.got, self.expected, self.fix))


def _rebuild(
    kind: type[FundusRTError], subject: str, got: str | None, expected: str | None, fix: str | None
) -> FundusRTError:
    """Make the error again in another process; keyword arguments do not survive the default protocol."""
    return kind(subject, got=got, expected=expected, fix=fix)


class InvalidInput(FundusRTError, ValueError):
    """An image, array or option value that cannot be used as given."""

    code = "invalid-input"


class OutputError(FundusRTError, OSError):
    """A result that cannot be written; nothing half-written is left behind."""

    code = "output-error"


class UsageError(FundusRTError, ValueError):
    """An option that is unknown or does not fit the others."""

    code = "usage-error"


class BundleError(FundusRTError):
    """A bundle that is missing, incomplete, changed or malformed."""

    code = "bundle-error"


class CertificateError(BundleError):
    """A bundle whose certificate is missing, incomplete, failed, or made for other files."""

    code = "certificate-error"


class BackendUnavailable(FundusRTError):
    """A backend, device or precision that this machine or this bundle cannot run."""

    code = "backend-unavailable"


class EngineMismatch(BackendUnavailable):
    """A compiled engine made for another bundle, GPU or runtime version."""

    code = "engine-mismatch"

"""Small facts that travel between rooms and into JSON."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, and strict about unknown fields: what is read may come from someone else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

# Generated from ../asynchronous/vectors.py by `make twins`: do not edit.
"""Search by meaning, and bulk storage of embeddings."""

from typing import Any

from numpy.typing import ArrayLike
from sqlalchemy import ColumnElement

from pgmodern.repositories.rows import R
from pgmodern.repositories.synchronous.bulk import BulkRepository
from pgmodern.repositories.vectors import VectorStatements


class VectorRepository(VectorStatements[R], BulkRepository):
    """Find rows by their vector, and store vectors in bulk."""

    def nearest(
        self,
        vector: ArrayLike,
        k: int = 10,
        *where: ColumnElement[bool],
        ef_search: int | None = None,
        oversampling: int | None = None,
        threshold: float | None = None,
        **values: Any,
    ) -> list[R]:
        """Return the `k` nearest rows that meet the conditions: `k` whenever `k` exist.

        Those with a score below the `threshold` are left out. What `ef_search` and `oversampling`
        are is said by `queries.nearest`.

        `values` are those of parameters (`bindparam`) that the conditions name. Raises VectorError
        when the vector does not fit the column.
        """
        asked = self._nearest(vector, k, where, (ef_search, oversampling), threshold, values)
        return self._rows(self._fetch(*asked))

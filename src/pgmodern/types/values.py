"""The classes that pgvector's package has for values, wherever its version keeps them."""

try:
    from pgvector import HalfVector as HalfValue
    from pgvector import SparseVector as SparseValue
    from pgvector import Vector as DenseValue
except ImportError:  # before 0.4
    from pgvector.utils import HalfVector as HalfValue  # type: ignore[no-redef]
    from pgvector.utils import SparseVector as SparseValue  # type: ignore[no-redef]
    from pgvector.utils import Vector as DenseValue  # type: ignore[no-redef]

__all__ = ["DenseValue", "HalfValue", "SparseValue"]

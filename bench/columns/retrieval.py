"""Columns of what dense retrieval costs besides the model."""

from bench.columns.column import Column

COLUMNS = (
    Column(
        "index_bytes",
        says="bytes of the vectors of all documents, in 32-bit floats; they are needed beside the model's",
        kind="count",
        show="bytes",
        unit="B",
        better="lower",
        source="ours: documents * width * 4, as a flat index stores them (Johnson et al. 2017, arXiv:1702.08734)",
        oracle="measures/test_retrieval.py::test_the_index_has_four_bytes_per_document_and_dimension",
    ),
    Column(
        "query_latency_p50_s",
        says="median seconds to encode one query and find its 100 best documents by exact search, at batch 1",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source="ours: real queries at their own lengths, already in tokens, both models in turns, the real index",
        oracle="measures/test_retrieval.py::test_latency_of_a_query_is_the_median_of_encoding_and_search",
    ),
)

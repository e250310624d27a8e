"""Columns of storage and memory."""

from bench.columns.column import Column

_PARAMETERS = "ours: tied and shared tensors count once, packed weights count, as in measuring.md, section 3"
_MEMORY = "VmHWM of proc(5), reset by clear_refs, minus the resident size before loading"
_PROCESSES = "Student's t over fresh processes, each with its own memory layout; benchmarks/README.md"
_MEMORY_INTERVAL = "measures/test_memory.py::test_memory_of_inference_has_the_t_interval_over_processes"

COLUMNS = (
    Column(
        "params",
        says="stored parameter elements, each counted once",
        kind="count",
        show="count",
        better="lower",
        source=_PARAMETERS,
        oracle="measures/test_parameters.py::test_a_bert_has_exactly_the_parameters_of_the_closed_form",
    ),
    Column(
        "params_nonzero",
        says="stored parameter elements that are not zero",
        kind="count",
        show="count",
        better="lower",
        source=_PARAMETERS,
        oracle="measures/test_parameters.py::test_elements_that_are_not_zero_are_counted_one_by_one",
    ),
    Column(
        "params_embedding",
        says="stored elements of embedding tables",
        kind="count",
        show="count",
        better="lower",
        source=_PARAMETERS,
        oracle="measures/test_parameters.py::test_embedding_tables_are_words_positions_and_segments",
    ),
    Column(
        "size_bytes",
        says="weights and side data of the artifact on disk",
        kind="count",
        show="bytes",
        unit="B",
        better="lower",
        source="ours: model.safetensors and layers.json; tokenizer and metadata are the same for every recipe",
        oracle="measures/test_size.py::test_the_parts_of_the_difference_add_up_to_it_exactly",
    ),
    Column(
        "size_bytes_theoretical",
        says="elements * bits / 8 of the stored form, with scales, masks and indices, without file headers",
        kind="count",
        show="bytes",
        unit="B",
        better="lower",
        source="ours: measuring.md, section 3; bits from the layer's declared form, not from the file",
        oracle="measures/test_theory.py::test_an_int8_layer_needs_a_byte_a_weight_and_four_a_scale_and_bias",
    ),
    Column(
        "compression",
        says="reference bytes over artifact bytes, both on disk; "
        "a model given in half precision counts in half precision",
        kind="count",
        show="ratio",
        better="higher",
        source="compression rate a / a* of Cheng et al. 2017, arXiv:1710.09282, in bytes on disk instead of parameters",
        oracle="measures/test_size.py::test_size_is_the_bytes_of_weights_and_side_data_and_compression_is_their_ratio",
        mean="geometric",
        relative="ratio",
    ),
    Column(
        "memory_load_bytes",
        says="peak host memory added by loading, in a separate process",
        kind="measurement",
        show="bytes",
        unit="B",
        better="lower",
        source=_MEMORY,
        oracle="measures/test_memory.py::test_loading_holds_no_tensor_twice",
        mean="largest",
    ),
    *Column(
        "memory_inference_bytes",
        says="peak host memory of steady inference, including resident weights, in a separate process",
        kind="measurement",
        show="bytes",
        unit="B",
        better="lower",
        source=_MEMORY,
        oracle="measures/test_memory.py::test_inference_holds_the_weights_and_its_activations",
        mean="largest",
    ).with_interval(
        "95 % t interval of memory_inference_bytes over processes",
        source=_PROCESSES,
        oracle=_MEMORY_INTERVAL,
    ),
    *Column(
        "memory_peak_bytes",
        says="the larger of memory_load_bytes and memory_inference_bytes",
        kind="measurement",
        show="bytes",
        unit="B",
        better="lower",
        source="ours: the memory that a machine needs to load and run the model",
        oracle="measures/test_memory.py::test_the_peak_is_the_larger_of_loading_and_inference",
        mean="largest",
    ).with_interval(
        "95 % t interval of memory_peak_bytes over processes",
        source=_PROCESSES,
        oracle=_MEMORY_INTERVAL,
    ),
    Column(
        "memory_device_bytes",
        says="peak of the CUDA allocator during steady inference, weights included; absent on a CPU",
        kind="measurement",
        show="bytes",
        unit="B",
        better="lower",
        source="torch.cuda.max_memory_allocated over memory_allocated before loading",
        oracle="measures/test_memory.py::test_device_memory_is_the_allocators_highest_point_over_the_baseline",
        mean="largest",
    ),
)

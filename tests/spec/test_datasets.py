"""Every file of a data set is valid, says where the data are from, and can be read from files or the hub."""

import pytest

from bench.spec.data import DATASETS, read_dataset
from bench.tasks.sources.transforms.transform import transform_of


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_data_set_says_what_people_should_know_and_how_it_is_read(name):
    data = read_dataset(name)
    assert data.title
    assert data.cite
    assert data.licence
    assert data.hub or data.files
    assert all(count > 0 for count in data.sizes.values())
    transform_of(data.transform, where=name)

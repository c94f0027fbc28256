"""Loading and preparing a node's data."""

from fedhealth.data.dataset import load_dataset
from fedhealth.data.shard import stack
from fedhealth.data.tables import read_shard, read_table
from fedhealth.study import load_study

__all__ = ["load_dataset", "load_study", "read_shard", "read_table", "stack"]

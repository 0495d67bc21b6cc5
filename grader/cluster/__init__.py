"""Grades a class on many machines: workers of a Dask `distributed` cluster, which need no file of the coordinator's."""

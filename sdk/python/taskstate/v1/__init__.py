"""Generated from `protos/taskstate/v1` by `make gen`; never edited by hand."""

gen:
	.venv/bin/python -m grpc_tools.protoc -I protos --python_out=sdk/python --pyi_out=sdk/python --grpc_python_out=sdk/python $$(cd protos && find . -name '*.proto' | sed 's|^\./|protos/|' | sort)

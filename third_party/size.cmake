# CMake includes this at llama.cpp's project() call. What runs once a request (templates, JSON,
# grammars) or once a batch (building the graph) is compiled for size; what runs for every token is not.
cmake_language(DEFER CALL target_compile_options llama-common PRIVATE -Os)
cmake_language(DEFER CALL target_compile_options llama PRIVATE -Os)
cmake_language(DEFER CALL set_source_files_properties llama-sampler.cpp llama-vocab.cpp llama-grammar.cpp unicode.cpp
    TARGET_DIRECTORY llama PROPERTIES COMPILE_OPTIONS -O3)

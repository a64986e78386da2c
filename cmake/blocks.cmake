# The looks at blocks of text (guard/look.h) are compiled for each instruction
# set; which one runs is decided by what the processor says of itself.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(GLOB blocks ${CORRAL_ROOT}/guard/*_wide.c)
  set_source_files_properties(${blocks} PROPERTIES
    COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512vl;-mbmi;-mbmi2")
endif()
# rules_flatten() goes over every text, in plain C that vectorises.
set_source_files_properties(${CORRAL_ROOT}/guard/rules.c PROPERTIES
  COMPILE_OPTIONS -O3)

# How all of Corral is compiled, here and by tests/arm64.
get_filename_component(CORRAL_ROOT ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON) # POSIX and GNU calls: memmem, accept4, reallocarray
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(SANITIZE "" CACHE STRING "sanitizers: address,undefined or thread")
option(CORRAL_WERROR "treat warnings as errors" OFF)

add_library(corral_flags INTERFACE)
target_compile_options(corral_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wundef -Wcast-qual
  -Wformat=2 -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes
  -Wimplicit-fallthrough -fno-strict-aliasing -fstack-protector-strong
  $<$<BOOL:${CORRAL_WERROR}>:-Werror>)
target_compile_definitions(corral_flags INTERFACE _GNU_SOURCE
  CORRAL_VERSION="${PROJECT_VERSION}")
target_include_directories(corral_flags INTERFACE ${CORRAL_ROOT})
if(SANITIZE)
  target_compile_options(corral_flags INTERFACE
    -fsanitize=${SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(corral_flags INTERFACE -fsanitize=${SANITIZE})
else()
  target_compile_definitions(corral_flags INTERFACE
    $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
endif()
if(CORRAL_FUZZ) # so that the fuzzers see which branches an input takes
  target_compile_options(corral_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

# Each library behind one interface target, found where the distribution put
# it. Nothing is vendored; llhttp alone may come from its pinned source package.
include(CheckCSourceCompiles)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(corral_dependency name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
  add_library(corral_${name} INTERFACE)
  target_link_libraries(corral_${name} INTERFACE PkgConfig::${name})
endfunction()

corral_dependency(cjson libcjson)
corral_dependency(yaml yaml-0.1)
corral_dependency(sodium libsodium)
corral_dependency(sqlite sqlite3)
corral_dependency(uv libuv)
corral_dependency(openssl openssl)
corral_dependency(zlib zlib)
corral_dependency(curl libcurl)
corral_dependency(xml libxml-2.0)
corral_dependency(seccomp libseccomp)
corral_dependency(hyperscan libhs)
corral_dependency(icu icu-uc)
corral_dependency(icui18n icu-i18n)
target_link_libraries(corral_icu INTERFACE corral_icui18n)

include(llhttp)

# The program takes OpenBLAS from its archive where there is one. The shared
# library brings Fortran's run time, which brings 128-bit floats, which hook into
# printf and make every call in the process three times slower.
pkg_check_modules(openblas REQUIRED IMPORTED_TARGET openblas)
add_library(corral_openblas INTERFACE)
find_library(OPENBLAS_ARCHIVE libopenblas.a HINTS ${openblas_LIBRARY_DIRS})
set(CMAKE_REQUIRED_LIBRARIES "${OPENBLAS_ARCHIVE};m;Threads::Threads")
check_c_source_compiles("float cblas_sdot(int, const float *, int, const float *, int);
  int main(void) { float one = 1; return (int)cblas_sdot(1, &one, 1, &one, 1); }"
  OPENBLAS_ARCHIVE_LINKS)
unset(CMAKE_REQUIRED_LIBRARIES)
if(OPENBLAS_ARCHIVE_LINKS)
  set(linked $<TARGET_PROPERTY:OPENBLAS_ARCHIVE>)
  target_link_libraries(corral_openblas INTERFACE
    $<$<BOOL:${linked}>:${OPENBLAS_ARCHIVE}>
    $<$<NOT:$<BOOL:${linked}>>:PkgConfig::openblas> Threads::Threads m)
else()
  target_link_libraries(corral_openblas INTERFACE PkgConfig::openblas)
endif()

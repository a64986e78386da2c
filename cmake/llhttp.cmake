# llhttp: the system's where there is one, else the C sources that
# scripts/setup took out of the pinned source package into LLHTTP_SOURCE.
pkg_check_modules(system_llhttp IMPORTED_TARGET libllhttp)
add_library(corral_llhttp INTERFACE)
if(system_llhttp_FOUND)
  target_link_libraries(corral_llhttp INTERFACE PkgConfig::system_llhttp)
else()
  if(DEFINED ENV{CORRAL_HOME})
    set(corral_home $ENV{CORRAL_HOME})
  else()
    set(corral_home $ENV{HOME}/.cache/corral)
  endif()
  set(LLHTTP_SOURCE ${corral_home}/llhttp-9.3.0.0/lib CACHE PATH
    "folder with llhttp.c, api.c, http.c and llhttp.h")
  if(NOT EXISTS ${LLHTTP_SOURCE}/llhttp.c)
    message(FATAL_ERROR
      "llhttp is neither installed nor in ${LLHTTP_SOURCE}: run scripts/setup")
  endif()
  add_library(llhttp_source STATIC ${LLHTTP_SOURCE}/llhttp.c
    ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c)
  target_include_directories(llhttp_source SYSTEM PUBLIC ${LLHTTP_SOURCE})
  target_link_libraries(corral_llhttp INTERFACE llhttp_source)
endif()

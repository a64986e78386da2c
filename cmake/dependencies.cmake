# Each library behind one interface target, found where the distribution put
# it. Nothing is vendored; llhttp alone may come from its pinned source package.
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
corral_dependency(openblas openblas)
corral_dependency(hyperscan libhs)
corral_dependency(icu icu-uc)
corral_dependency(icui18n icu-i18n)
target_link_libraries(corral_icu INTERFACE corral_icui18n)

include(llhttp)

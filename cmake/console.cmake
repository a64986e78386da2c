# cmake -DFROM=folder -DTO=file.c -P console.cmake: the files of the web console
# as a table in C, each with the digest of its bytes as its entity tag.
file(GLOB paths ${FROM}/*.html ${FROM}/*.css ${FROM}/*.js ${FROM}/*.svg)
list(SORT paths)
set(arrays "")
set(rows "")
set(number 0)
foreach(path IN LISTS paths)
  get_filename_component(name ${path} NAME)
  file(READ ${path} hex HEX)
  file(SHA256 ${path} digest)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(SUBSTRING ${digest} 0 32 tag)
  string(APPEND arrays
    "static const unsigned char file_${number}[] = {${bytes}};\n")
  string(APPEND rows
    "    {\"${name}\", file_${number}, sizeof file_${number}, \"\\\"${tag}\\\"\"},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${TO} "#include \"proxy/console.h\"\n\n${arrays}
const struct console_file console_files[] = {\n${rows}};
const int console_file_count = ${number};\n")

# Tools of the builder's own: each file is called tool_NAME.c and defines
# NAME_open(), of the type in tools/options.h. They go into one program.
function(corral_add_tools program)
  set(declared "")
  set(rows "")
  foreach(source ${ARGN})
    get_filename_component(name ${source} NAME_WE)
    if(NOT name MATCHES "^tool_([a-z][a-z0-9_]*)$")
      message(FATAL_ERROR "${source}: a tool's file is called tool_NAME.c")
    endif()
    set(name ${CMAKE_MATCH_1})
    string(APPEND declared "tool_open ${name}_open;\n")
    string(APPEND rows "    {\"${name}\", ${name}_open},\n")
  endforeach()
  set(table ${CMAKE_CURRENT_BINARY_DIR}/${program}_tools.c)
  file(CONFIGURE OUTPUT ${table} @ONLY CONTENT
"#include \"tools/added.h\"

@declared@
const struct added_tool added_tools[] = {
@rows@    {NULL, NULL},
};
")
  target_sources(${program} PRIVATE ${table} ${ARGN})
endfunction()

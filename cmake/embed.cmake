# embed_files(table type header character component pattern): the files of `pattern` inside the binary, put there by the assembler. Writes
# ${CMAKE_BINARY_DIR}/<table>.c, which defines `const struct <type> <table>[]` as <header> declares it: name, first byte, end; a zero byte follows each file; a
# row of zeroes ends the table. component: NAME, or NAME_WE without the ending. Sets <table>_source.
function(embed_files table type header character component pattern)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${pattern})
  set(source ${CMAKE_BINARY_DIR}/${table}.c)
  set(text "#include \"${header}\"\n")
  set(rows "")
  set(number 0)
  foreach(file ${files})
    get_filename_component(name ${file} ${component})
    set(symbol ${table}_${number})
    string(APPEND text
      "__asm__(\".pushsection .rodata\\n${symbol}: .incbin \\\"${file}\\\"\\n${symbol}_end: .byte 0\\n.popsection\\n\");\n"
      "extern const ${character} ${symbol}[], ${symbol}_end[];\n")
    string(APPEND rows "    {\"${name}\", ${symbol}, ${symbol}_end},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${source} CONTENT "${text}const struct ${type} ${table}[] = {\n${rows}    {0, 0, 0}};\n" @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${files}")
  set(${table}_source ${source} PARENT_SCOPE)
endfunction()

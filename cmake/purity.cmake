# house.purity: the rules of DESIGN.md's "The house", checked on sources and objects (tests/purity/check.py).
find_program(SYSTEM_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(NOT SYSTEM_PYTHON)
  find_program(SYSTEM_PYTHON NAMES python3)
endif()
if(SYSTEM_PYTHON)
  set(purity_rooms)
  foreach(room shoal_base shoal_channel shoal_dht shoal_transfer shoal_names shoal_node shoal_http shoal_dns shoal_limits shoal_ftp)
    list(APPEND purity_rooms ${room}=$<TARGET_FILE:${room}>)
  endforeach()
  add_test(NAME house.purity COMMAND ${SYSTEM_PYTHON} ${CMAKE_SOURCE_DIR}/tests/purity/check.py ${CMAKE_SOURCE_DIR}
                                     ${CMAKE_C_COMPILER} ${purity_rooms})
  set_tests_properties(house.purity PROPERTIES TIMEOUT 120)
endif()

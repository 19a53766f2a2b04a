"""Stand-ins for what build systems of microcontrollers bring along, so far as the folder calls them."""

ARDUINO = """
struct Port {
    void begin(long) {}
    template <typename T> void print(T) {}
    template <typename T> void println(T) {}
};
static Port Serial;
static inline unsigned long micros() { return 0; }
static inline void delay(unsigned long) {}
"""

# what each of the functions does is what its documentation says, with a library of CMake's own
ESP_IDF = """
cmake_minimum_required(VERSION 3.16)
project(app C)
set(ESP_PLATFORM 1)
macro(idf_component_register)
  cmake_parse_arguments(IT "" "" "SRCS;INCLUDE_DIRS" ${{ARGN}})
  set(COMPONENT_LIB component)
  add_library(component STATIC ${{IT_SRCS}})
  target_include_directories(component PUBLIC ${{IT_INCLUDE_DIRS}})
endmacro()
add_subdirectory({folder} component)
add_executable(example {folder}/examples/console/main.c)
target_link_libraries(example component)
"""
ZEPHYR = """
cmake_minimum_required(VERSION 3.20)
project(app C)
set(CONFIG_MOBILENETS_NETWORK y)
set(INCLUDED "" CACHE INTERNAL "")
function(zephyr_library_named name)
  add_library(${{name}} STATIC)
  set(ZEPHYR_CURRENT_LIBRARY ${{name}} PARENT_SCOPE)
endfunction()
function(zephyr_library_sources)
  target_sources(${{ZEPHYR_CURRENT_LIBRARY}} PRIVATE ${{ARGN}})
endfunction()
function(zephyr_library_compile_options)
  target_compile_options(${{ZEPHYR_CURRENT_LIBRARY}} PRIVATE ${{ARGN}})
endfunction()
function(zephyr_include_directories)
  set(INCLUDED ${{ARGN}} CACHE INTERNAL "")
  target_include_directories(${{ZEPHYR_CURRENT_LIBRARY}} PRIVATE ${{ARGN}})
endfunction()
add_subdirectory({folder}/zephyr module)
add_executable(example {folder}/examples/console/main.c)
target_include_directories(example PRIVATE ${{INCLUDED}})
target_link_libraries(example mobilenets_network)
"""
CMAKE = """
cmake_minimum_required(VERSION 3.13)
project(app C)
add_subdirectory({folder} network)
add_executable(example {folder}/examples/console/main.c)
target_link_libraries(example network)
"""

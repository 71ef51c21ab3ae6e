// The program: everything is in the library's app module, so that it can be tested and embedded.
#include "deeppcr/app/program.hpp"

int main(int argc, char** argv) { return deeppcr::app::run(argc, argv); }

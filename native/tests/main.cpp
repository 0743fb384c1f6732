// The main function of every test.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

int main(int argc, char** argv) {
  doctest::Context context;
  context.setOption("abort-after", 20);  // one fault can fail a million checks
  context.applyCommandLine(argc, argv);
  return context.run();
}

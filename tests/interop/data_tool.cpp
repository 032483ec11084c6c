// data_tool <tokenizer folder> '<data set options as JSON>': loads the data set and writes it as
// dump_jsonl does, for comparison with other programs.
#include <exception>
#include <iostream>

#include "hone/config/reader.h"
#include "hone/data/dataset.h"
#include "hone/data/dump.h"

int main(int argc, char** argv) {
  using namespace hone;
  if (argc != 3) {
    std::cerr << "usage: data_tool <tokenizer folder> '<options>'\n";
    return 2;
  }
  try {
    const auto folder = text::TokenizerFolder::load(argv[1]);
    const auto options = config::read_config<data::DatasetOptions>(parse_json(argv[2], "options"));
    data::dump_jsonl(std::cout, data::load_dataset(options, folder).examples, folder.tokenizer);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}

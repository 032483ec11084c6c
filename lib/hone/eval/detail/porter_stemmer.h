/// English word stems.
#pragma once
#include <string>

namespace hone::eval::detail {

/// The stem of a word of ASCII letters and digits in lower case: Porter's algorithm (1980) with the
/// deviations that nltk's PorterStemmer has by default, which is what rouge_score uses.
std::string porter_stem(std::string word);

}  // namespace hone::eval::detail

#include "hone/eval/detail/porter_stemmer.h"

#include <initializer_list>
#include <string_view>
#include <utility>

namespace hone::eval::detail {
namespace {

using View = std::string_view;

/// Whether each letter is a vowel: a, e, i, o, u, and y behind a consonant. Calls each(is_vowel).
template <class Each>
void for_each_letter(View word, const Each& each) {
  bool vowel = true;  // so that a y at the beginning is a consonant
  for (const char c : word) {
    vowel = c == 'y' ? !vowel : View("aeiou").find(c) != View::npos;
    each(vowel);
  }
}

bool is_vowel_at(View word, size_t i) {
  bool vowel = false;
  for_each_letter(word.substr(0, i + 1), [&](bool v) { vowel = v; });
  return vowel;
}

bool has_vowel(View stem) {
  bool any = false;
  for_each_letter(stem, [&](bool vowel) { any = any || vowel; });
  return any;
}

/// Porter's m: how many times a consonant follows a vowel.
int measure(View stem) {
  int m = 0;
  bool before = false;
  for_each_letter(stem, [&](bool vowel) {
    m += before && !vowel;
    before = vowel;
  });
  return m;
}

bool ends_double_consonant(View word) {
  const size_t n = word.size();
  return n >= 2 && word[n - 1] == word[n - 2] && !is_vowel_at(word, n - 1);
}

/// Consonant, vowel, consonant other than w, x, y; or a word of a vowel and a consonant.
bool ends_cvc(View word) {
  const size_t n = word.size();
  if (n < 2 || is_vowel_at(word, n - 1) || !is_vowel_at(word, n - 2)) return false;
  if (n == 2) return true;
  return !is_vowel_at(word, n - 3) && View("wxy").find(word[n - 1]) == View::npos;
}

View without(View word, View suffix) { return word.substr(0, word.size() - suffix.size()); }

struct Rule {
  View suffix, replacement;
};

/// The first rule whose suffix the word has decides: its stem takes the replacement if it fits.
template <class Fits>
void apply(std::string& word, std::initializer_list<Rule> rules, const Fits& fits) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    if (fits(without(word, rule.suffix), rule)) {
      word.replace(word.size() - rule.suffix.size(), rule.suffix.size(), rule.replacement);
    }
    return;
  }
}

bool has_measure(View stem, const Rule&) { return measure(stem) > 0; }

void plurals(std::string& word) {  // step 1a
  if (word.size() == 4 && word.ends_with("ies")) {
    word.pop_back();
    return;
  }
  apply(word, {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}},
        [](View, const Rule&) { return true; });
}

/// What is left of a word without -ed or -ing becomes a word again.
void mend(std::string& word) {
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz")) {
    word += 'e';
  } else if (ends_double_consonant(word)) {
    if (View("lsz").find(word.back()) == View::npos) word.pop_back();
  } else if (measure(word) == 1 && ends_cvc(word)) {
    word += 'e';
  }
}

void past_and_gerund(std::string& word) {  // step 1b
  if (word.ends_with("ied")) {
    word.resize(word.size() - (word.size() == 4 ? 1 : 2));
    return;
  }
  if (word.ends_with("eed")) {
    if (measure(without(word, "eed")) > 0) word.pop_back();
    return;
  }
  for (const View suffix : {View("ed"), View("ing")}) {
    if (!word.ends_with(suffix) || !has_vowel(without(word, suffix))) continue;
    word.resize(word.size() - suffix.size());
    return mend(word);
  }
}

void final_y(std::string& word) {  // step 1c
  if (word.size() > 2 && word.back() == 'y' && !is_vowel_at(word, word.size() - 2)) {
    word.back() = 'i';
  }
}

void double_suffixes(std::string& word) {  // step 2
  while (word.ends_with("alli") && measure(without(word, "alli")) > 0) word.resize(word.size() - 2);
  apply(word, {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
               {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
               {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
               {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
               {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
               {"fulli", "ful"},   {"logi", "log"}},
        [&](View stem, const Rule& rule) {
          // The l of -logi counts with the stem, so that "geologi" and "theologi" have one.
          return measure(rule.suffix == "logi" ? without(word, "ogi") : stem) > 0;
        });
}

void single_suffixes(std::string& word) {  // steps 3 and 4
  apply(word,
        {{"icate", "ic"},
         {"ative", ""},
         {"alize", "al"},
         {"iciti", "ic"},
         {"ical", "ic"},
         {"ful", ""},
         {"ness", ""}},
        has_measure);
  apply(word,
        {{"al", ""},
         {"ance", ""},
         {"ence", ""},
         {"er", ""},
         {"ic", ""},
         {"able", ""},
         {"ible", ""},
         {"ant", ""},
         {"ement", ""},
         {"ment", ""},
         {"ent", ""},
         {"ion", ""},
         {"ou", ""},
         {"ism", ""},
         {"ate", ""},
         {"iti", ""},
         {"ous", ""},
         {"ive", ""},
         {"ize", ""}},
        [](View stem, const Rule& rule) {
          return measure(stem) > 1 &&
                 (rule.suffix != "ion" || stem.ends_with('s') || stem.ends_with('t'));
        });
}

void final_letters(std::string& word) {  // step 5
  if (word.ends_with('e')) {
    const View stem = without(word, "e");
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_cvc(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(without(word, "l")) > 1) word.pop_back();
}

/// Words that the rules would get wrong, or "".
View irregular_stem(View word) {
  static constexpr std::pair<View, View> kStems[] = {
      {"sky", "sky"},        {"skies", "sky"},        {"dying", "die"},
      {"lying", "lie"},      {"tying", "tie"},        {"news", "news"},
      {"innings", "inning"}, {"inning", "inning"},    {"outings", "outing"},
      {"outing", "outing"},  {"cannings", "canning"}, {"canning", "canning"},
      {"howe", "howe"},      {"proceed", "proceed"},  {"exceed", "exceed"},
      {"succeed", "succeed"}};
  for (const auto& [irregular, stem] : kStems) {
    if (word == irregular) return stem;
  }
  return "";
}

}  // namespace

std::string porter_stem(std::string word) {
  if (const View stem = irregular_stem(word); !stem.empty()) return std::string(stem);
  if (word.size() <= 2) return word;
  plurals(word);
  past_and_gerund(word);
  final_y(word);
  double_suffixes(word);
  single_suffixes(word);
  final_letters(word);
  return word;
}

}  // namespace hone::eval::detail

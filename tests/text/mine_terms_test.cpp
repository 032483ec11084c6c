#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "hone/core/error.h"
#include "hone/core/random.h"
#include "hone/core/utf8.h"
#include "hone/text/bpe_trainer.h"
#include "hone/text/detail/run_terms.h"
#include "hone/text/detail/scripts.h"
#include "hone/text/growth.h"

namespace hone::text {
namespace {

using Texts = std::vector<std::string>;

Texts words(const std::string& list) {
  Texts found(1);
  for (const char c : list) {
    if (c == ' ') {
      found.emplace_back();
    } else {
      found.back() += c;
    }
  }
  return found;
}

// Legal terms and what stands around them.
const Texts kTerms = words(
    "有期徒刑 无期徒刑 人民法院 人民检察院 公安机关 犯罪嫌疑人 被告人 国家工作人员 违法所得 "
    "行政处罚 行政复议 诉讼代理人 附带民事诉讼 "
    "财产保全 先予执行 连带责任 违约责任 不可抗力 有限责任公司 股东会 董事会 注册资本 劳动合同 "
    "用人单位 经济补偿 社会保险费 著作权人 "
    "注册商标 专利权人 商业秘密 法定代理人 监护人 善意第三人 抵押权 不动产登记 合同解除 诉讼时效 "
    "管辖权异议 生效判决 强制执行");
const Texts kVerbs = words(
    "应当履行 不得侵犯 可以申请 依法撤销 负责监督 书面通知 按照规定办理 明知而放弃 拒绝承认 "
    "共同承担");
const Texts kFrames = words(
    "因@#的，@予以处理。 @在@中#，情节严重。 除@外，@不#。 凡是@#@的，由@决定。 "
    "对于@，@认为需要#时，同@协商。 为了@，任何@都#。");

std::string sentence(Random& random) {
  std::string text;
  for (const char c : kFrames[random.below(kFrames.size())]) {
    if (c == '@') {
      text += kTerms[random.below(kTerms.size())];
    } else if (c == '#') {
      text += kVerbs[random.below(kVerbs.size())];
    } else {
      text += c;
    }
  }
  return text;
}

struct Law {
  Texts train, held_back, characters;  ///< no sentence is on both sides
};

Law law() {
  Random random(7);
  std::set<std::string> seen;
  Law law;
  while (seen.size() < 1000) {
    const std::string text = sentence(random);
    if (!seen.insert(text).second) continue;
    (seen.size() % 5 == 0 ? law.held_back : law.train).push_back(text);
  }
  // What a base that knows the characters, but not the words, was trained on.
  std::set<char32_t> letters;
  for (const std::string& text : law.train) {
    for (const char32_t c : to_utf32(text)) letters.insert(c);
  }
  const std::vector<char32_t> all(letters.begin(), letters.end());
  for (int i = 0; i < 4000; ++i) {
    std::string text;
    for (int k = 0; k < 6; ++k) text += to_utf8(all[random.below(all.size())]) + "\n";
    law.characters.push_back(text);
  }
  return law;
}

Tokenizer base(const Law& law, TokenizerFamily family = TokenizerFamily::kDeepSeekV3) {
  return Tokenizer::from_json(train_bpe(law.characters, {.vocab_size = 900, .family = family}),
                              "base");
}

size_t tokens_of(const Tokenizer& tokenizer, const Texts& texts) {
  size_t sum = 0;
  for (const std::string& text : texts) sum += tokenizer.encode_ids(text, false).size();
  return sum;
}

Texts names(const std::vector<TermCandidate>& mined) {
  Texts names;
  for (const TermCandidate& term : mined) names.push_back(term.text);
  return names;
}

bool holds(const Texts& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

TEST_CASE("mining finds the words inside Chinese clauses, and they pay on sentences held back") {
  const Law text = law();
  for (const TokenizerFamily family :
       {TokenizerFamily::kDeepSeekV3, TokenizerFamily::kQwen2, TokenizerFamily::kLlama3}) {
    INFO(enum_name(family));
    const Tokenizer old = base(text, family);
    const auto mined = mine_terms(old, text.train, {.max_ids = 200});
    const Texts terms = names(mined);
    for (const std::string word : {"有期徒刑", "人民法院", "用人单位", "商业秘密"}) {
      INFO(word);
      CHECK(holds(terms, word));
    }
    for (const std::string part : {"期徒", "有期徒", "民法院", "业秘密"}) {
      INFO(part);
      CHECK_FALSE(holds(terms, part));
    }
    for (const std::string& term : terms) {
      INFO(term);
      CHECK_FALSE(term.starts_with(' '));
      CHECK(to_utf32(term).size() <= detail::RunTerms::kMaxChars);
    }
    const GrowthResult grown = grow(old, terms, {.max_new_tokens = 200});
    CHECK(grown.left_out.empty());
    CHECK(grown.added.size() <= 200);
    const double before = static_cast<double>(tokens_of(old, text.held_back));
    const double after = static_cast<double>(tokens_of(grown.tokenizer, text.held_back));
    CHECK(after < 0.5 * before);  // 0.41; the terms are most of these sentences

    // What each id is worth is counted with the intermediates, and exactly.
    int64_t saved = 0, ids = 0;
    for (const TermCandidate& term : mined) {
      saved += term.saved;
      ids += term.ids;
    }
    CHECK(ids == std::ssize(grown.added));
    CHECK(tokens_of(old, text.train) - tokens_of(grown.tokenizer, text.train) ==
          static_cast<size_t>(saved));
  }
}

TEST_CASE("a limit of ids counts intermediate ones, and one of terms does not") {
  const Law text = law();
  const Tokenizer old = base(text);
  const auto by_terms = mine_terms(old, text.train, {.max_terms = 30});
  CHECK(by_terms.size() == 30);
  CHECK(grow(old, names(by_terms)).added.size() > 30);
  const auto by_ids = mine_terms(old, text.train, {.max_ids = 30});
  CHECK(by_ids.size() < 30);
  CHECK(grow(old, names(by_ids)).added.size() <= 30);
  // As added tokens a term needs one id each.
  const auto added = mine_terms(old, text.train, {.max_ids = 30, .mode = GrowthMode::kAddedTokens});
  CHECK(added.size() == 30);
  CHECK(grow(old, names(added), {.mode = GrowthMode::kAddedTokens}).added.size() == 30);
  CHECK(mine_terms(old, text.train, {.max_ids = 0}).empty());
}

TEST_CASE("min_pieces and min_count bound mined terms inside clauses too") {
  const Law text = law();
  const Tokenizer old = base(text);
  for (const TermCandidate& term : mine_terms(old, text.train, {.min_pieces = 4})) {
    CHECK(term.pieces >= 4);
  }
  CHECK(mine_terms(old, text.train, {.min_count = 100'000}).empty());
}

TEST_CASE("a term of a script without spaces is found inside pieces that ignore_merges looks up") {
  const Law text = law();
  const Tokenizer old = base(text, TokenizerFamily::kLlama3);
  const GrowthResult grown = grow(old, {"有期徒刑"});
  const auto count = [&](const std::string& clause) {
    return old.encode_ids(clause, false).size() - grown.tokenizer.encode_ids(clause, false).size();
  };
  CHECK(count("有期徒刑") == old.encode_ids("有期徒刑", false).size() - 1);
  CHECK(count("因有期徒刑予以处理") == old.encode_ids("有期徒刑", false).size() - 1);
}

TEST_CASE("what growth did is read back from the tokenizer that it made") {
  const Law text = law();
  for (const TokenizerFamily family : {TokenizerFamily::kQwen2, TokenizerFamily::kLlama3}) {
    const Tokenizer old = base(text, family);
    const GrowthResult grown = grow(old, {"有期徒刑", "plaintiffs", "违约 责任", "有期"});
    const GrowthResult again = growth_between(old, grown.tokenizer);
    REQUIRE(again.added.size() == grown.added.size());
    for (size_t i = 0; i < again.added.size(); ++i) {
      CHECK(again.added[i].id == grown.added[i].id);
      CHECK(again.added[i].token == grown.added[i].token);
      CHECK(again.added[i].text == grown.added[i].text);
      CHECK(again.added[i].pieces == grown.added[i].pieces);
    }
    CHECK(growth_between(old, old).added.empty());
  }
}

TEST_CASE(
    "a limit of terms leaves out what comes behind them, and words that are tokens are free") {
  const Tokenizer old = base(law());
  const GrowthResult grown = grow(old, {"有期徒刑", "a", "法院", "合同"}, {.max_terms = 2});
  CHECK(grown.terms() == 2);
  CHECK(std::ssize(grown.added) > grown.terms());
  CHECK(grown.unchanged == Texts{"a"});
  CHECK(grown.left_out == Texts{"合同"});
}

TEST_CASE("Thai and kana are mined inside runs, Korean and Latin by words") {
  CHECK(detail::holds_unspaced("สัญญา"));
  CHECK(detail::holds_unspaced("カタカナ"));
  CHECK(detail::holds_unspaced("ab裁判"));
  CHECK_FALSE(detail::holds_unspaced("계약 contract договор 1, 。・"));
  const Texts nouns = words("สัญญา ศาล โจทก์ จำเลย กฎหมาย"), verbs = words("ฟ้อง ตัดสิน ยกเลิก แก้ไข อ่าน");
  Random random(3);
  Texts texts;
  for (int i = 0; i < 400; ++i) {
    texts.push_back(nouns[random.below(5)] + verbs[random.below(5)] + nouns[random.below(5)]);
  }
  const Tokenizer old = Tokenizer::from_json(train_bpe({"abc"}, {.vocab_size = 300}), "base");
  const Texts terms = names(mine_terms(old, texts, {.max_terms = 12}));
  for (const std::string& noun : nouns) CHECK(holds(terms, noun));
}

TEST_CASE("what mined terms promise to save is what growth saves, on any merges and texts") {
  Random random(11);
  for (int round = 0; round < 60; ++round) {
    // Letters of words between spaces, or of clauses; sequences of two merged by chance.
    const Texts letters = round % 2 ? words("a b c") : words("甲 乙 丙");
    Texts texts;
    for (int i = 0; i < 40; ++i) {
      std::string text;
      for (int k = 0; k < 12; ++k) {
        if (round % 2 && random.below(5) == 0) text += " ";
        text += letters[random.below(3)];
      }
      texts.push_back(text);
    }
    const auto family = static_cast<TokenizerFamily>(random.below(3));
    const Texts some(texts.begin(), texts.begin() + 1 + static_cast<int64_t>(random.below(20)));
    const Tokenizer old = Tokenizer::from_json(
        train_bpe(some,
                  {.vocab_size = 262 + static_cast<int64_t>(random.below(20)), .family = family}),
        "base");
    const auto mined = mine_terms(old, texts, {.max_ids = 40, .min_pieces = 2, .min_count = 2});
    const GrowthResult grown = grow(old, names(mined), {.max_new_tokens = 40});
    CHECK(grown.left_out.empty());
    int64_t saved = 0, ids = 0;
    for (const TermCandidate& term : mined) {
      saved += term.saved;
      ids += term.ids;
      CHECK(grown.tokenizer.encode_ids("\n" + term.text, false).size() == 2);
    }
    CHECK(ids == std::ssize(grown.added));
    CHECK(tokens_of(old, texts) - tokens_of(grown.tokenizer, texts) == static_cast<size_t>(saved));
  }
}

}  // namespace
}  // namespace hone::text

/// Which files a data set names.
#pragma once
#include <string>
#include <vector>

namespace hone::data {

/// What a file's ending says of it; a last .gz is left out, but of Parquet.
enum class FileForm { kJson, kText, kCsv, kTsv, kParquet, kUnknown };
FileForm form_of(const std::string& path);

/// The endings that data files may have, for messages.
std::string file_endings();

/// Whether the path is a pattern: it holds *, ? or [ and is no file itself.
bool is_pattern(const std::string& path);

/// The files that `files` names, in order: a file is itself (also one that does not exist, which
/// opening it will tell); a folder all files in it with an ending that is read, sorted, without
/// hidden ones and folders in it; a pattern (*, ?, [a-z]; no **) the files that match it, sorted.
/// Throws: IoError for a folder or pattern without files, or one that gives a file a second time.
std::vector<std::string> list_files(const std::vector<std::string>& files);

}  // namespace hone::data

// SPDX-License-Identifier: MIT
#include "engine/loader/inline_frames.hpp"

#include <algorithm>
#include <unordered_map>

#include "engine/loader/dwarf_reader.hpp"
#include "engine/loader/names.hpp"

namespace virtual_rocm::engine {
namespace {

// DWARF constants, by the names of the standard.
enum Tag : std::uint64_t { kCompileUnit = 0x11, kInlinedSubroutine = 0x1d, kSubprogram = 0x2e };
enum Attribute : std::uint64_t {
  kName = 0x03,
  kStatementList = 0x10,
  kLowPc = 0x11,
  kHighPc = 0x12,
  kAbstractOrigin = 0x31,
  kSpecification = 0x47,
  kRanges = 0x55,
  kCallFile = 0x58,
  kCallLine = 0x59,
  kLinkageName = 0x6e,
  kStringOffsetsBase = 0x72,
  kAddressBase = 0x73,
  kRangeListsBase = 0x74,
};
enum Form : std::uint64_t {
  kAddress = 0x01,
  kBlock2 = 0x03,
  kBlock4 = 0x04,
  kData2 = 0x05,
  kData4 = 0x06,
  kData8 = 0x07,
  kString = 0x08,
  kBlock = 0x09,
  kBlock1 = 0x0a,
  kData1 = 0x0b,
  kFlag = 0x0c,
  kSignedData = 0x0d,
  kStringPointer = 0x0e,
  kUnsignedData = 0x0f,
  kReferenceAddress = 0x10,
  kReference1 = 0x11,
  kReference2 = 0x12,
  kReference4 = 0x13,
  kReference8 = 0x14,
  kReferenceUnsigned = 0x15,
  kSectionOffset = 0x17,
  kExpression = 0x18,
  kFlagPresent = 0x19,
  kStringIndex = 0x1a,
  kAddressIndex = 0x1b,
  kData16 = 0x1e,
  kLineStringPointer = 0x1f,
  kSignature = 0x20,
  kImplicitConstant = 0x21,
  kLocationListIndex = 0x22,
  kRangeListIndex = 0x23,
  kStringIndex1 = 0x25,
  kStringIndex2 = 0x26,
  kStringIndex3 = 0x27,
  kStringIndex4 = 0x28,
  kAddressIndex1 = 0x29,
  kAddressIndex2 = 0x2a,
  kAddressIndex3 = 0x2b,
  kAddressIndex4 = 0x2c,
};
enum RangeEntry : std::uint8_t {
  kEndOfList,
  kBaseAddressIndex,
  kStartIndexEndIndex,
  kStartIndexLength,
  kOffsetPair,
  kBaseAddress,
  kStartEnd,
  kStartLength,
};

struct AttributeFormat {
  std::uint64_t attribute;
  std::uint64_t form;
  std::int64_t constant;
};
struct Abbreviation {
  std::uint64_t tag;
  bool has_children;
  std::vector<AttributeFormat> attributes;
};
using Abbreviations = std::unordered_map<std::uint64_t, Abbreviation>;

Abbreviations read_abbreviations(std::span<const std::byte> section, std::uint64_t offset) {
  DwarfReader reader(section);
  reader.seek(offset);
  Abbreviations table;
  while (const std::uint64_t code = reader.unsigned_leb()) {
    Abbreviation& entry = table[code];
    entry.tag = reader.unsigned_leb();
    entry.has_children = reader.byte() != 0;
    for (;;) {
      AttributeFormat format{reader.unsigned_leb(), reader.unsigned_leb(), 0};
      if (format.form == kImplicitConstant) format.constant = reader.signed_leb();
      if (format.attribute == 0 && format.form == 0) break;
      entry.attributes.push_back(format);
    }
  }
  return table;
}

bool is_address_index(std::uint64_t form) {
  return form == kAddressIndex || (form >= kAddressIndex1 && form <= kAddressIndex4);
}
bool is_string_index(std::uint64_t form) {
  return form == kStringIndex || (form >= kStringIndex1 && form <= kStringIndex4);
}

}  // namespace

// One unit of .debug_info.
class UnitReader {
 public:
  UnitReader(InlineFrames& frames, const DebugSections& sections, std::uint64_t offset)
      : frames_(frames), sections_(sections), offset_(offset), reader_(sections.information) {}

  // Returns the offset of the next unit.
  std::uint64_t next() {
    reader_.seek(offset_);
    const std::uint64_t length = reader_.initial_length(offset_size_);
    return reader_.position() + length;
  }

  void run() {
    const std::uint64_t end = next();
    version_ = static_cast<unsigned>(reader_.fixed(2));
    std::uint64_t abbreviations = 0;
    if (version_ == 5) {
      const std::uint8_t type = reader_.byte();
      reader_.skip(1);
      abbreviations = reader_.fixed(offset_size_);
      if (type != 1) return;  // only whole compilation units describe code
    } else if (version_ == 4) {
      abbreviations = reader_.fixed(offset_size_);
      reader_.skip(1);
    } else {
      return;
    }
    // Where the tables of a version 5 unit begin if it does not say so: behind one header.
    string_offsets_base_ = 8;
    address_base_ = 8;
    range_lists_base_ = 12;
    const Abbreviations table = read_abbreviations(sections_.abbreviations, abbreviations);
    std::uint32_t depth = 0;
    while (reader_.position() < end) {
      const std::uint64_t entry = reader_.position();
      const std::uint64_t code = reader_.unsigned_leb();
      if (code == 0) {
        if (depth > 0) --depth;
        continue;
      }
      const auto found = table.find(code);
      if (found == table.end()) throw MalformedDwarf("unknown abbreviation");
      read_entry(entry, found->second, depth);
      if (found->second.has_children) ++depth;
    }
  }

 private:
  struct Value {
    std::uint64_t form = 0;
    std::uint64_t number = 0;
    std::string text;
  };

  void read_entry(std::uint64_t entry, const Abbreviation& abbreviation, std::uint32_t depth) {
    std::unordered_map<std::uint64_t, Value> values;
    for (const AttributeFormat& format : abbreviation.attributes) {
      Value value = read_value(format);
      if (is_interesting(format.attribute)) values.emplace(format.attribute, std::move(value));
    }
    const auto number = [&](std::uint64_t attribute) {
      const auto found = values.find(attribute);
      return found == values.end() ? 0 : found->second.number;
    };
    if (abbreviation.tag == kCompileUnit) {
      if (values.contains(kStringOffsetsBase)) string_offsets_base_ = number(kStringOffsetsBase);
      if (values.contains(kAddressBase)) address_base_ = number(kAddressBase);
      if (values.contains(kRangeListsBase)) range_lists_base_ = number(kRangeListsBase);
      line_unit_ = number(kStatementList);
      if (values.contains(kLowPc)) unit_base_ = address(values[kLowPc]);
      return;
    }
    if (abbreviation.tag != kSubprogram && abbreviation.tag != kInlinedSubroutine) return;

    std::uint64_t reference = number(kAbstractOrigin);
    if (reference == 0) reference = number(kSpecification);
    std::string text;
    if (values.contains(kLinkageName)) text = string(values[kLinkageName]);
    if (text.empty() && values.contains(kName)) text = string(values[kName]);
    frames_.names_.push_back({entry, std::move(text), reference});

    InlineFrames::Scope scope;
    scope.ranges = ranges(values);
    if (scope.ranges.empty()) return;
    scope.name_entry = entry;
    scope.line_unit = line_unit_;
    scope.call_file = number(kCallFile);
    scope.call_line = static_cast<std::uint32_t>(number(kCallLine));
    scope.depth = depth;
    frames_.scopes_.push_back(std::move(scope));
  }

  static bool is_interesting(std::uint64_t attribute) {
    switch (attribute) {
      case kName:
      case kStatementList:
      case kLowPc:
      case kHighPc:
      case kAbstractOrigin:
      case kSpecification:
      case kRanges:
      case kCallFile:
      case kCallLine:
      case kLinkageName:
      case kStringOffsetsBase:
      case kAddressBase:
      case kRangeListsBase:
        return true;
      default:
        return false;
    }
  }

  Value read_value(const AttributeFormat& format) {
    Value value{format.form, 0, {}};
    switch (format.form) {
      case kAddress:
      case kData8:
      case kReference8:
      case kSignature:
        value.number = reader_.fixed(8);
        break;
      case kData1:
      case kFlag:
      case kReference1:
      case kStringIndex1:
      case kAddressIndex1:
        value.number = reader_.fixed(1);
        break;
      case kData2:
      case kReference2:
      case kStringIndex2:
      case kAddressIndex2:
        value.number = reader_.fixed(2);
        break;
      case kStringIndex3:
      case kAddressIndex3:
        value.number = reader_.fixed(3);
        break;
      case kData4:
      case kReference4:
      case kStringIndex4:
      case kAddressIndex4:
        value.number = reader_.fixed(4);
        break;
      case kData16:
        reader_.skip(16);
        break;
      case kSignedData:
        value.number = static_cast<std::uint64_t>(reader_.signed_leb());
        break;
      case kUnsignedData:
      case kReferenceUnsigned:
      case kStringIndex:
      case kAddressIndex:
      case kLocationListIndex:
      case kRangeListIndex:
        value.number = reader_.unsigned_leb();
        break;
      case kStringPointer:
      case kLineStringPointer:
      case kSectionOffset:
      case kReferenceAddress:
        value.number = reader_.fixed(offset_size_);
        break;
      case kString:
        value.text = reader_.string();
        break;
      case kFlagPresent:
        value.number = 1;
        break;
      case kImplicitConstant:
        value.number = static_cast<std::uint64_t>(format.constant);
        break;
      case kBlock1:
        reader_.skip(reader_.fixed(1));
        break;
      case kBlock2:
        reader_.skip(reader_.fixed(2));
        break;
      case kBlock4:
        reader_.skip(reader_.fixed(4));
        break;
      case kBlock:
      case kExpression:
        reader_.skip(reader_.unsigned_leb());
        break;
      default:
        throw MalformedDwarf("unknown form");
    }
    const bool relative = format.form >= kReference1 && format.form <= kReferenceUnsigned;
    if (relative) value.number += offset_;
    return value;
  }

  std::string string(const Value& value) const {
    if (value.form == kString) return value.text;
    if (value.form == kStringPointer) return dwarf_string(sections_.strings, value.number);
    if (value.form == kLineStringPointer) return dwarf_string(sections_.line_strings, value.number);
    if (!is_string_index(value.form)) return {};
    DwarfReader offsets(sections_.string_offsets);
    offsets.seek(string_offsets_base_ + value.number * offset_size_);
    return dwarf_string(sections_.strings, offsets.fixed(offset_size_));
  }

  std::uint64_t indexed_address(std::uint64_t index) const {
    DwarfReader addresses(sections_.addresses);
    addresses.seek(address_base_ + index * 8);
    return addresses.fixed(8);
  }
  std::uint64_t address(const Value& value) const {
    return is_address_index(value.form) ? indexed_address(value.number) : value.number;
  }

  using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  Ranges ranges(std::unordered_map<std::uint64_t, Value>& values) const {
    if (values.contains(kRanges)) return range_list(values[kRanges]);
    if (!values.contains(kLowPc) || !values.contains(kHighPc)) return {};
    const std::uint64_t begin = address(values[kLowPc]);
    const Value& high = values[kHighPc];
    const bool absolute = high.form == kAddress || is_address_index(high.form);
    return {{begin, absolute ? address(high) : begin + high.number}};
  }

  Ranges range_list(const Value& value) const {
    if (version_ == 4) return old_range_list(value.number);
    std::uint64_t place = value.number;
    if (value.form == kRangeListIndex) {
      DwarfReader offsets(sections_.ranges);
      offsets.seek(range_lists_base_ + value.number * offset_size_);
      place = range_lists_base_ + offsets.fixed(offset_size_);
    }
    DwarfReader reader(sections_.ranges);
    reader.seek(place);
    Ranges result;
    std::uint64_t base = unit_base_;
    for (;;) {
      std::uint64_t begin = 0;
      std::uint64_t end = 0;
      switch (reader.byte()) {
        case kEndOfList:
          return result;
        case kBaseAddressIndex:
          base = indexed_address(reader.unsigned_leb());
          continue;
        case kBaseAddress:
          base = reader.fixed(8);
          continue;
        case kStartIndexEndIndex:
          begin = indexed_address(reader.unsigned_leb());
          end = indexed_address(reader.unsigned_leb());
          break;
        case kStartIndexLength:
          begin = indexed_address(reader.unsigned_leb());
          end = begin + reader.unsigned_leb();
          break;
        case kOffsetPair:
          begin = base + reader.unsigned_leb();
          end = base + reader.unsigned_leb();
          break;
        case kStartEnd:
          begin = reader.fixed(8);
          end = reader.fixed(8);
          break;
        case kStartLength:
          begin = reader.fixed(8);
          end = begin + reader.unsigned_leb();
          break;
        default:
          throw MalformedDwarf("unknown range");
      }
      result.emplace_back(begin, end);
    }
  }

  Ranges old_range_list(std::uint64_t place) const {
    DwarfReader reader(sections_.old_ranges);
    reader.seek(place);
    Ranges result;
    std::uint64_t base = unit_base_;
    for (;;) {
      const std::uint64_t begin = reader.fixed(8);
      const std::uint64_t end = reader.fixed(8);
      if (begin == 0 && end == 0) return result;
      if (begin == ~std::uint64_t{0})
        base = end;
      else
        result.emplace_back(base + begin, base + end);
    }
  }

  InlineFrames& frames_;
  const DebugSections& sections_;
  std::uint64_t offset_;
  DwarfReader reader_;
  unsigned offset_size_ = 4;
  unsigned version_ = 0;
  std::uint64_t string_offsets_base_ = 0;
  std::uint64_t address_base_ = 0;
  std::uint64_t range_lists_base_ = 0;
  std::uint64_t line_unit_ = 0;
  std::uint64_t unit_base_ = 0;
};

InlineFrames::InlineFrames(const DebugSections& sections) {
  std::uint64_t offset = 0;
  while (offset + 4 < sections.information.size()) {
    std::uint64_t next = 0;
    try {
      UnitReader unit(*this, sections, offset);
      next = unit.next();
      unit.run();
    } catch (const MalformedDwarf&) {
      // What was read of this unit stays; the next one may be whole.
    }
    if (next <= offset) break;
    offset = next;
  }
  std::ranges::sort(names_, {}, &Name::entry);
}

std::string InlineFrames::name_of(std::uint64_t entry) const {
  // Inlined call → abstract instance → declaration: three steps at most.
  for (unsigned step = 0; step < 4; ++step) {
    const auto found = std::ranges::lower_bound(names_, entry, {}, &Name::entry);
    if (found == names_.end() || found->entry != entry) break;
    if (!found->text.empty()) return demangle(found->text);
    entry = found->reference;
  }
  return {};
}

void InlineFrames::find_all(
    std::span<const std::uint64_t> addresses, const LineTable& lines,
    const std::function<void(std::size_t, std::vector<SourceLocation>&)>& visit) const {
  // An outer scope stands before its inner ones in scopes_, so every chain is outermost first.
  std::vector<std::vector<const Scope*>> chains(addresses.size());
  for (const Scope& scope : scopes_) {
    for (const auto& [begin, end] : scope.ranges) {
      const auto first = std::ranges::lower_bound(addresses, begin) - addresses.begin();
      const auto last = std::ranges::lower_bound(addresses, end) - addresses.begin();
      for (auto index = first; index < last; ++index) {
        auto& chain = chains[static_cast<std::size_t>(index)];
        if (chain.empty() || chain.back() != &scope) chain.push_back(&scope);
      }
    }
  }
  std::unordered_map<std::uint64_t, std::string> names;
  std::vector<SourceLocation> frames;
  for (std::size_t index = 0; index < addresses.size(); ++index) {
    frames.clear();
    SourceLocation place;
    if (const auto line = lines.find_exactly(addresses[index])) {
      place.file = line->file;
      place.line = line->line;
    }
    for (auto scope = chains[index].rbegin(); scope != chains[index].rend(); ++scope) {
      auto [name, is_new] = names.try_emplace((*scope)->name_entry);
      if (is_new) name->second = name_of((*scope)->name_entry);
      place.function = name->second;
      frames.push_back(place);
      place.file = lines.file((*scope)->line_unit, (*scope)->call_file);
      place.line = (*scope)->call_line;
    }
    visit(index, frames);
  }
}

std::vector<SourceLocation> InlineFrames::find(std::uint64_t address, const LineTable& lines) const {
  std::vector<const Scope*> chain;  // outermost first
  for (const Scope& scope : scopes_) {
    const bool inside = std::ranges::any_of(
        scope.ranges, [&](const auto& range) { return address >= range.first && address < range.second; });
    if (inside) chain.push_back(&scope);
  }
  std::ranges::sort(chain, {}, &Scope::depth);
  std::vector<SourceLocation> result;
  SourceLocation place;
  if (const auto line = lines.find(address)) {
    place.file = line->file;
    place.line = line->line;
  }
  for (auto scope = chain.rbegin(); scope != chain.rend(); ++scope) {
    place.function = name_of((*scope)->name_entry);
    result.push_back(place);
    place.file = lines.file((*scope)->line_unit, (*scope)->call_file);
    place.line = (*scope)->call_line;
  }
  return result;
}

}  // namespace virtual_rocm::engine

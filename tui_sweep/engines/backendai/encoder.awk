# One stream of a case (stdin) into frames (stdout); frames.py says how they are made.
#
# For any awk, and awks differ about NUL: what is read goes through base64 into a shell variable, which
# can hold that, and comes back as lines in which NUL is \377, while \376 may also be \377 (both are
# rare in text). From a block on that has \376, or much that is no text, a read is told as its base64. After
# a read of little there is a pause, so that a program that prints all the time costs ten reads a second (5 ms
# each) and not hundreds; the first line after silence is never held back.
#
# No frame is larger than 4096 bytes and each is one write: so the kernel does not mix it with those
# of the other stream. Patterns stand as literals: busybox compiles others each time.

function emit(text, bytes, kind) {
  printf "%s", "\036" stream " " offset " " bytes kind text "\037\n"
  fflush()
  offset += bytes
}

function without_utf8(text) {
  gsub(/[\302-\337][\200-\277]|\340[\240-\277][\200-\277]|[\341-\354\356\357][\200-\277][\200-\277]|\355[\200-\237][\200-\277]|\360[\220-\277][\200-\277][\200-\277]|[\361-\363][\200-\277][\200-\277][\200-\277]|\364[\200-\217][\200-\277][\200-\277]/, "", text)
  return text
}

# How many bytes of UTF-8 characters a text begins with.
function utf8_at_start(text) {
  match(text, /^([\302-\337][\200-\277]|\340[\240-\277][\200-\277]|[\341-\354\356\357][\200-\277][\200-\277]|\355[\200-\237][\200-\277]|\360[\220-\277][\200-\277][\200-\277]|[\361-\363][\200-\277][\200-\277][\200-\277]|\364[\200-\217][\200-\277][\200-\277])+/)
  return RLENGTH > 0 ? RLENGTH : 0
}

# Text with escapes for what is not text. \020 begins an escape, so that goes first.
function escaped(text,    out, run, good) {
  gsub(/\020/, "\020" "10", text)
  gsub(/\r/, "\020" "0d", text)
  gsub(/\033/, "\020" "1b", text)
  out = ""
  while (match(text, /[^\t\n\020\040-\176]+/)) {
    out = out substr(text, 1, RSTART - 1)
    run = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    while (run != "") {
      good = utf8_at_start(run)
      out = out (good ? substr(run, 1, good) : code[substr(run, 1, 1)])
      run = substr(run, good ? good + 1 : 2)
    }
  }
  return out text
}

# Text of at most 1300 bytes into the frames of this read.
function put(text, is_clean,    bytes) {
  bytes = length(text)
  if (!is_clean) text = escaped(text)
  if (length(frame) + length(text) > 4000) finish()
  frame = frame text
  size += bytes
}

function finish() {
  if (!size) return
  frames[count] = frame
  sizes[count++] = size
  frame = ""
  size = 0
}

# Text that is clean needs no escape; of which much needs one is binary.
function add(text,    rest, is_clean, bad, cut) {
  newlines += gsub(/\n/, "&", text)
  total += length(text)
  if (binary) return
  is_clean = 1
  if (text ~ /[^\t\n\040-\176]/) {
    rest = without_utf8(text)
    is_clean = rest !~ /[^\t\n\040-\176]/
    if (!is_clean) {
      bad = gsub(/[\001-\006\016-\032\034-\037\177-\377]/, "", rest)
      if (index(text, "\376") || (bad > 32 && bad * 4 > length(text))) { binary = 1; return }
    }
  }
  while (length(text) > 1300) {
    cut = 1300
    while (cut > 1297 && substr(text, cut + 1, 1) ~ /[\200-\277]/) cut--
    put(substr(text, 1, cut), is_clean)
    text = substr(text, cut + 1)
  }
  put(text, is_clean)
}

# What was read, a piece at a time. The mark is from the watcher: somebody still holds the stream open,
# and its end is here.
function take(text,    at) {
  if (marked) return
  if (draining && (at = index(text, mark))) {
    marked = 1
    text = substr(text, 1, at - 1)
  }
  if (text != "") add(text)
}

# Many short lines at once are told on one, their newlines as \035: a server that keeps a log as JSON, 80
# bytes a line more, has lost half of them before they are fetched (seen: of 5 MB it kept 2.4).
function tell(    i, text, kind, told) {
  finish()
  told = 0
  for (i = 0; i < count; i++) {
    text = frames[i]
    kind = ":"
    if (substr(text, length(text)) == "\n") {
      text = substr(text, 1, length(text) - 1)
      kind = "|"
    }
    if (total >= 16384 && newlines * 200 > total) gsub(/\n/, "\035", text)
    emit(text, sizes[i], kind)
    told += sizes[i]
  }
  if (binary) tell_base64(told, total)
}

# The bytes of this read from one to the other. Base64 is cut at threes: up to two bytes are told twice,
# and up to two before a mark are left out, and count as missing.
function tell_base64(from, to,    rest, skip, i, text, piece, bytes) {
  rest = marked ? to % 3 : 0
  to -= rest
  offset -= from % 3
  from -= from % 3
  skip = from / 3 * 4
  text = ""
  for (i = 0; i < lines && from < to; i++) {
    text = text base64[i]
    if (skip) {
      piece = substr(text, 1, skip)
      text = substr(text, length(piece) + 1)
      skip -= length(piece)
    }
    while (from < to && (length(text) >= 3800 || (i == lines - 1 && text != ""))) {
      piece = substr(text, 1, 3800)
      text = substr(text, 3801)
      bytes = length(piece) / 4 * 3
      if (bytes > to - from) {
        bytes = to - from
        if (marked) piece = substr(piece, 1, bytes / 3 * 4)
      }
      emit(piece, bytes, "=")
      from += bytes
    }
  }
  offset += rest
}

BEGIN {
  stream = ENVIRON["_sweep_stream"]
  mark = ENVIRON["_sweep_mark"]
  for (i = 1; i < 255; i++) code[sprintf("%c", i)] = "\020" sprintf("%02x", i)
  code["\377"] = "\020" "00"
  offset = 0
  read = "x=$(dd bs=49152 count=1 2>/dev/null | base64); printf \"%s\\n\" \"$x\"; " \
    "if [ -e \"$_sweep_d/open\" ]; then echo .; else echo !; fi; " \
    "printf %s \"$x\" | base64 -d | tr \"\\000\\377\" \"\\377\\376\"; echo ."
  while (!marked) {
    lines = count = size = total = binary = newlines = 0
    frame = last = ""
    command = (small ? "sleep 0.1 2>/dev/null; " : "") read
    while ((command | getline text) > 0 && text != "." && text != "!" && text != "") base64[lines++] = text
    draining = text == "!"
    if (lines) {
      block = ""
      command | getline last
      while ((command | getline text) > 0) {
        block = block last "\n"
        last = text
        if (length(block) > 900) {
          take(block)
          block = ""
        }
      }
      take(block substr(last, 1, length(last) - 1))
    }
    close(command)
    if (!lines) break
    tell()
    small = total < 16384
  }
  printf "%s", "\036" stream " " offset " end\037\n"
  fflush()
}

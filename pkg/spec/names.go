package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// NameSizeMax is the size of the longest token EncodeName returns, in bytes.
const NameSizeMax = 120

// EncodeName makes any text one token that is safe as a NATS subject token, a key-value key token and a file name, and
// as no other text's: letters, digits, '_' and '-' stay, every other byte becomes '=' and two upper-case hex digits, and
// "" becomes "=". A token that would exceed NameSizeMax is its beginning, "==" and the first 32 hex digits of the
// text's SHA-256 instead; that cannot be decoded.
func EncodeName(s string) string {
	if s == "" {
		return "="
	}
	if len(s) <= NameSizeMax && !strings.ContainsFunc(s, func(r rune) bool { return r > 'z' || !isNameByte(byte(r)) }) {
		return s
	}
	var token strings.Builder
	for i := range len(s) {
		if c := s[i]; isNameByte(c) {
			token.WriteByte(c)
		} else {
			token.Write([]byte{'=', upperHex[c>>4], upperHex[c&15]})
		}
		if token.Len() > NameSizeMax {
			return hashedName(token.String(), s)
		}
	}
	return token.String()
}

const upperHex = "0123456789ABCDEF"

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '_' || c == '-'
}

// hashedName cuts the token of a long text, not within an escape, and ends it with the text's hash.
func hashedName(token, s string) string {
	const hashSize = 32
	sum := sha256.Sum256([]byte(s))
	cut := NameSizeMax - hashSize - len("==")
	for token[cut-1] == '=' || token[cut-2] == '=' {
		cut--
	}
	return token[:cut] + "==" + hex.EncodeToString(sum[:])[:hashSize]
}

// DecodeName returns the text whose token this is. It reports false for a token that holds a hash and for what
// EncodeName never returns.
func DecodeName(token string) (string, bool) {
	if token == "=" {
		return "", true
	}
	var text strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			text.WriteByte(token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		high, low := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		text.WriteByte(byte(high<<4 | low))
		i += 2
	}
	s := text.String()
	return s, EncodeName(s) == token
}

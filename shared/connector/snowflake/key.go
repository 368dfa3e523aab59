package snowflake

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // what openssl pkcs8 -v2 des3 makes, as Snowflake's own documentation has it
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha1" // the default of PBKDF2
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// parseKey reads the private key of a key pair: PEM of PKCS #8, also encrypted, or of PKCS #1. Environment variables often hold \n for line
// ends. No error says anything of the key.
func parseKey(text, passphrase string) (*rsa.PrivateKey, error) {
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is no PEM")
	}
	der := block.Bytes
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(der)
		if err != nil {
			return nil, errors.New("it is no RSA key that can be read")
		}
		return key, nil
	case "ENCRYPTED PRIVATE KEY":
		if passphrase == "" {
			return nil, errors.New("it is encrypted, and there is no private_key_passphrase")
		}
		var err error
		if der, err = decrypt(der, passphrase); err != nil {
			return nil, err
		}
	case "PRIVATE KEY":
	default:
		return nil, errors.New("its PEM is of another kind than PRIVATE KEY and ENCRYPTED PRIVATE KEY")
	}
	any, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil && block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errWrongPassphrase
	}
	key, ok := any.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("it is no RSA key that can be read")
	}
	return key, nil
}

var errWrongPassphrase = errors.New("private_key_passphrase does not open it")

// The structures of RFC 8018, PBES2.
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2 struct {
		Derivation, Cipher pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

// block ciphers and hashes, by the numbers that the key's file calls them.
var (
	oidPBES2   = "1.2.840.113549.1.5.13"
	oidPBKDF2  = "1.2.840.113549.1.5.12"
	keyCiphers = map[string]struct {
		size int
		make func([]byte) (cipher.Block, error)
	}{
		"2.16.840.1.101.3.4.1.2": {16, aes.NewCipher}, "2.16.840.1.101.3.4.1.22": {24, aes.NewCipher}, "2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7": {24, des.NewTripleDESCipher},
	}
	keyHashes = map[string]func() hash.Hash{
		"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.8": sha256.New224, "1.2.840.113549.2.9": sha256.New,
		"1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
	}
)

const maxIterations = 10_000_000 // a key that takes longer is somebody's mistake

// decrypt opens an encrypted key of PKCS #8.
func decrypt(der []byte, passphrase string) ([]byte, error) {
	unreadable := errors.New("its encryption cannot be read")
	var outer encryptedKey
	var scheme pbes2
	var derive pbkdf2Params
	var iv []byte
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, unreadable
	}
	if id := outer.Algorithm.Algorithm.String(); id != oidPBES2 {
		return nil, fmt.Errorf("its encryption is %s, not PBES2: openssl pkcs8 -topk8 -v2 aes-256-cbc makes that", id)
	}
	if _, err := asn1.Unmarshal(outer.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, unreadable
	}
	if id := scheme.Derivation.Algorithm.String(); id != oidPBKDF2 {
		return nil, fmt.Errorf("its key derivation is %s, not PBKDF2", id)
	}
	_, err := asn1.Unmarshal(scheme.Derivation.Parameters.FullBytes, &derive)
	if _, err2 := asn1.Unmarshal(scheme.Cipher.Parameters.FullBytes, &iv); err != nil || err2 != nil {
		return nil, unreadable
	}
	c, ok := keyCiphers[scheme.Cipher.Algorithm.String()]
	prf := keyHashes[derive.PRF.Algorithm.String()]
	if !ok || prf == nil || derive.Iterations < 1 || derive.Iterations > maxIterations {
		return nil, fmt.Errorf("its encryption, %s with %s, is none that is known here", scheme.Cipher.Algorithm, derive.PRF.Algorithm)
	}
	secret, err := pbkdf2.Key(prf, passphrase, derive.Salt, derive.Iterations, c.size)
	if err != nil {
		return nil, unreadable
	}
	block, err := c.make(secret)
	if err != nil || len(iv) != block.BlockSize() || len(outer.Data) == 0 || len(outer.Data)%block.BlockSize() != 0 {
		return nil, unreadable
	}
	plain := make([]byte, len(outer.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, outer.Data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > block.BlockSize() {
		return nil, errWrongPassphrase
	}
	return plain[:len(plain)-pad], nil
}

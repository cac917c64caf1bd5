package iso7816

import "fmt"

// StatusWord is SW1-SW2 (ISO/IEC 7816-4 §5.6).
type StatusWord uint16

// The status words that eMRTD chips answer.
const (
	SWSuccess                  StatusWord = 0x9000
	SWEndOfFile                StatusWord = 0x6282
	SWFileTerminated           StatusWord = 0x6285
	SWAuthenticationFailed     StatusWord = 0x6300
	SWMemoryFailure            StatusWord = 0x6581
	SWWrongLength              StatusWord = 0x6700
	SWSecureMessagingMissing   StatusWord = 0x6882
	SWCommandChaining          StatusWord = 0x6884
	SWSecurityStatus           StatusWord = 0x6982
	SWAuthenticationBlocked    StatusWord = 0x6983
	SWReferenceDataUnusable    StatusWord = 0x6984
	SWConditionsNotSatisfied   StatusWord = 0x6985
	SWNoCurrentFile            StatusWord = 0x6986
	SWSecureMessagingExpected  StatusWord = 0x6987
	SWSecureMessagingIncorrect StatusWord = 0x6988
	SWWrongData                StatusWord = 0x6A80
	SWFunctionNotSupported     StatusWord = 0x6A81
	SWFileNotFound             StatusWord = 0x6A82
	SWNotEnoughMemory          StatusWord = 0x6A84
	SWWrongP1P2                StatusWord = 0x6A86
	SWReferenceNotFound        StatusWord = 0x6A88
	SWFileExists               StatusWord = 0x6A89
	SWWrongOffset              StatusWord = 0x6B00
	SWInstructionNotSupported  StatusWord = 0x6D00
	SWClassNotSupported        StatusWord = 0x6E00
	SWUnknown                  StatusWord = 0x6F00
)

var meanings = map[StatusWord]string{
	SWSuccess:                  "success",
	SWEndOfFile:                "end of file reached before the expected length",
	SWFileTerminated:           "file in termination state",
	SWAuthenticationFailed:     "authentication failed",
	SWMemoryFailure:            "memory failure",
	SWWrongLength:              "wrong length",
	SWSecureMessagingMissing:   "secure messaging not supported",
	SWCommandChaining:          "command chaining not supported",
	SWSecurityStatus:           "security status not satisfied",
	SWAuthenticationBlocked:    "authentication method blocked",
	SWReferenceDataUnusable:    "reference data not usable",
	SWConditionsNotSatisfied:   "conditions of use not satisfied",
	SWNoCurrentFile:            "no current file",
	SWSecureMessagingExpected:  "secure messaging data objects missing",
	SWSecureMessagingIncorrect: "secure messaging data objects incorrect",
	SWWrongData:                "incorrect parameters in the command data",
	SWFunctionNotSupported:     "function not supported",
	SWFileNotFound:             "file not found",
	SWNotEnoughMemory:          "not enough memory",
	SWWrongP1P2:                "incorrect P1-P2",
	SWReferenceNotFound:        "referenced data not found",
	SWFileExists:               "file already exists",
	SWWrongOffset:              "offset outside the file",
	SWInstructionNotSupported:  "instruction not supported",
	SWClassNotSupported:        "class not supported",
	SWUnknown:                  "no precise diagnosis",
}

// TriesLeft gives the counter that 63Cx carries (ISO/IEC 7816-4 §5.6).
func (sw StatusWord) TriesLeft() (int, bool) {
	if sw&0xFFF0 == 0x63C0 {
		return int(sw & 0xF), true
	}
	return 0, false
}

func (sw StatusWord) String() string {
	if m, ok := meanings[sw]; ok {
		return fmt.Sprintf("%04X (%s)", uint16(sw), m)
	}
	if n, ok := sw.TriesLeft(); ok {
		return fmt.Sprintf("%04X (wrong password, %d tries left)", uint16(sw), n)
	}
	switch sw >> 8 {
	case 0x61:
		return fmt.Sprintf("%04X (%d more octets available)", uint16(sw), sw&0xFF)
	case 0x6C:
		return fmt.Sprintf("%04X (wrong Le, %d is right)", uint16(sw), sw&0xFF)
	}
	return fmt.Sprintf("%04X", uint16(sw))
}

// StatusError is a status word that is not success. Operation says what was
// being done: "READ BINARY DG2".
type StatusError struct {
	SW        StatusWord
	Operation string
}

func (e *StatusError) Error() string {
	if e.Operation == "" {
		return "card answered " + e.SW.String()
	}
	return e.Operation + ": card answered " + e.SW.String()
}

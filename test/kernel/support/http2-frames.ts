/** Frames of HTTP/2 (RFC 9113), as bytes: what is in them matters to nobody who looks at their headers alone. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const TYPES = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
  priorityUpdate: 16,
} as const;

export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const PRIORITY = 0x20;

export function frame(type: keyof typeof TYPES, flags: number, stream: number, payloadBytes = 0): Buffer {
  const bytes = Buffer.alloc(9 + payloadBytes, 0x5a);
  bytes.writeUIntBE(payloadBytes, 0, 3);
  bytes.writeUInt8(TYPES[type], 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(stream, 5);
  return bytes;
}

/** What a client sends first. */
export const clientStart = (): Buffer => Buffer.concat([PREFACE, frame('settings', 0, 0, 12)]);
export const serverStart = (): Buffer => frame('settings', 0, 0, 6);

/** A request without a body. */
export const request = (stream: number): Buffer => frame('headers', END_STREAM | END_HEADERS, stream, 11);

/** HEADERS, DATA, trailers: a unary gRPC response's frames. */
export const response = (stream: number): Buffer =>
  Buffer.concat([
    frame('headers', END_HEADERS, stream, 7),
    frame('data', 0, stream, 13),
    frame('headers', END_STREAM | END_HEADERS, stream, 5),
  ]);

/** The ids that a client gives its first `count` streams. */
export const streamIds = (count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => 2 * index + 1);

import koffi, { type LibraryHandle, type TypeObject } from 'koffi';

/** A C address. NULL is null. */
export type Pointer = bigint;

/** What JavaScript hands over for a C type. Memory of a view is lent for the time of the call alone. */
interface ArgumentTypes {
  int: number;
  bool: boolean;
  uint32_t: number;
  int64_t: number;
  uint64_t: number;
  size_t: number;
  str: string;
  'void *': Pointer | NodeJS.ArrayBufferView | null;
}

interface ResultTypes {
  void: void;
  int: number;
  bool: boolean;
  uint32_t: number;
  int64_t: number;
  str: string | null;
  'void *': Pointer | null;
}

type ArgumentSpec = keyof ArgumentTypes | TypeObject;
type Signature = readonly [result: keyof ResultTypes, ...parameters: readonly ArgumentSpec[]];

type Arguments<Specs extends readonly ArgumentSpec[]> = {
  -readonly [Index in keyof Specs]: Specs[Index] extends keyof ArgumentTypes
    ? ArgumentTypes[Specs[Index]]
    : Readonly<Record<string, unknown>> | null;
};
type BoundFunction<S> = S extends readonly [
  infer Result extends keyof ResultTypes,
  ...infer Parameters extends readonly ArgumentSpec[],
]
  ? (...args: Arguments<Parameters>) => ResultTypes[Result]
  : never;

export type Bound<Signatures> = { readonly [Name in keyof Signatures]: BoundFunction<Signatures[Name]> };

/** Binds C functions: `{ close: ['int', 'int'] }` is `int close(int)`. @throws Error when the library lacks one of them */
export function bind<const Signatures extends Readonly<Record<string, Signature>>>(
  library: LibraryHandle,
  signatures: Signatures,
): Bound<Signatures> {
  const bound = Object.entries(signatures).map(([name, [result, ...parameters]]) => [
    name,
    library.func(name, result, parameters),
  ]);
  return Object.fromEntries(bound) as Bound<Signatures>;
}

/** A pointer to a struct that is given as a plain object. Unnamed: koffi's type names are global to the process. */
export function structPointer(fields: Readonly<Record<string, keyof ArgumentTypes>>): TypeObject {
  return koffi.pointer(koffi.struct({ ...fields }));
}

/** Computes `create` at the first call and keeps it. */
export function lazy<T>(create: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: create() }).value;
}

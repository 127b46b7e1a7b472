import { constants } from 'node:os';
import koffi from 'koffi';
import { bind, lazy, structPointer } from './ffi.ts';
import { NativeError } from './native-error.ts';

const LIBRARY = 'libbpf.so.1';

/** struct bpf_object_open_opts as far as it is used: its first member tells libbpf where it ends. */
const openOptions = structPointer({ sz: 'size_t', object_name: 'str' });
export const OPEN_OPTIONS_SIZE = 16;

/** struct bpf_iter_attach_opts */
const iterOptions = structPointer({ sz: 'size_t', link_info: 'void *', link_info_len: 'uint32_t' });
export const ITER_OPTIONS_SIZE = 24;

/**
 * libbpf's functions, loaded at the first use.
 * @throws NativeError `load libbpf.so.1` when it is not installed (ENOENT) or not the version that is bound here (ENOSYS)
 */
export const libbpf = lazy(() => {
  const library = loadLibrary();
  const { libbpf_major_version } = bind(library, { libbpf_major_version: ['uint32_t'] });
  if (libbpf_major_version() !== 1) {
    throw new NativeError(`load ${LIBRARY}`, constants.errno.ENOSYS, {
      detail: `found libbpf ${libbpf_major_version()}, expected 1`,
    });
  }
  return bind(library, {
    libbpf_version_string: ['str'],
    libbpf_set_print: ['void *', 'void *'],
    libbpf_num_possible_cpus: ['int'],

    bpf_object__open_file: ['void *', 'str', openOptions],
    bpf_object__open_mem: ['void *', 'void *', 'size_t', openOptions],
    bpf_object__name: ['str', 'void *'],
    bpf_object__btf: ['void *', 'void *'],
    bpf_object__load: ['int', 'void *'],
    bpf_object__close: ['void', 'void *'],
    bpf_object__find_program_by_name: ['void *', 'void *', 'str'],
    bpf_object__find_map_by_name: ['void *', 'void *', 'str'],

    bpf_program__set_autoload: ['int', 'void *', 'bool'],
    bpf_program__autoload: ['bool', 'void *'],
    bpf_program__attach: ['void *', 'void *'],
    bpf_program__attach_iter: ['void *', 'void *', iterOptions],
    bpf_link__fd: ['int', 'void *'],
    bpf_link__destroy: ['int', 'void *'],
    bpf_iter_create: ['int', 'int'],

    bpf_map__fd: ['int', 'void *'],
    bpf_map__type: ['uint32_t', 'void *'],
    bpf_map__key_size: ['uint32_t', 'void *'],
    bpf_map__value_size: ['uint32_t', 'void *'],
    bpf_map__max_entries: ['uint32_t', 'void *'],
    bpf_map__set_max_entries: ['int', 'void *', 'uint32_t'],
    bpf_map__set_autocreate: ['int', 'void *', 'bool'],
    bpf_map__initial_value: ['void *', 'void *', 'void *'],
    bpf_map_lookup_elem: ['int', 'int', 'void *', 'void *'],
    bpf_map_update_elem: ['int', 'int', 'void *', 'void *', 'uint64_t'],
    bpf_map_delete_elem: ['int', 'int', 'void *'],
    bpf_map_get_next_key: ['int', 'int', 'void *', 'void *'],
    bpf_map_lookup_batch: ['int', 'int', 'void *', 'void *', 'void *', 'void *', 'void *', 'void *'],

    ring_buffer__new: ['void *', 'int', 'void *', 'void *', 'void *'],
    ring_buffer__free: ['void', 'void *'],
    ring_buffer__epoll_fd: ['int', 'void *'],
    ring_buffer__consume: ['int', 'void *'],

    btf__load_vmlinux_btf: ['void *'],
    btf__free: ['void', 'void *'],
    btf__find_by_name_kind: ['int', 'void *', 'str', 'uint32_t'],
    btf__type_by_id: ['void *', 'void *', 'uint32_t'],
    btf__name_by_offset: ['str', 'void *', 'uint32_t'],
  });
});

function loadLibrary() {
  try {
    return koffi.load(LIBRARY);
  } catch (cause) {
    throw new NativeError(`load ${LIBRARY}`, constants.errno.ENOENT, {
      detail: `${messageOf(cause)}; on Debian and Ubuntu: apt-get install libbpf1`,
      cause,
    });
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

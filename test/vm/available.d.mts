export declare const GUEST_PACKAGES: readonly string[];
export declare const KERNEL_METAPACKAGE: string;
export declare function cacheDirectory(): string;
export declare function completionStamp(): string;
export declare function vmAvailable(): { ok: boolean; reason?: string };

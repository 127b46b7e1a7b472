import { z } from 'zod';

/** Where a server listens. */
export interface ListenAddress {
  /** An IP address, without brackets, or a name. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/;
const EXPECTED = 'an address and a port such as 127.0.0.1:9750 or [::1]:9750, or off';

/** `127.0.0.1:9750`, or `off`, which becomes null. */
export const listenAddress = () =>
  z
    .string({ error: ({ input }) => refusal(input) })
    .meta({ examples: ['127.0.0.1:9750', '[::1]:9750', 'off'] })
    .transform((text, context): ListenAddress | null => {
      if (text === 'off') return null;
      const [, host, digits] = ADDRESS.exec(text) ?? [];
      const port = Number(digits);
      if (host !== undefined && port <= 65_535) return { host: host.replace(/^\[|\]$/g, ''), port };
      context.addIssue({ code: 'custom', message: refusal(text) });
      return z.NEVER;
    });

const refusal = (input: unknown) => `${JSON.stringify(input)} given, expected ${EXPECTED}`;

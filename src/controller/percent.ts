/** A level or share for humans: `0.4567` → `46 %` */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

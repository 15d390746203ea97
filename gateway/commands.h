/* The subcommands of the binary; argv begins behind the subcommand's name. Each returns the exit code: 0 done, 1 failed, 2 wrong
 * use. Thread: main. */
#ifndef GATEWAY_COMMANDS_H
#define GATEWAY_COMMANDS_H

int gw_cmd_serve(int argc, char **argv);
int gw_cmd_user(int argc, char **argv);
int gw_cmd_group(int argc, char **argv);
int gw_cmd_policy(int argc, char **argv);
int gw_cmd_mount(int argc, char **argv);
/* As /sbin/mount.sluice, by mount(8): META-URL DIR [-sfnv] [-o OPTIONS]. In the background, unless -o foreground. */
int gw_cmd_mount_helper(int argc, char **argv);
int gw_cmd_stats(int argc, char **argv);
int gw_cmd_umount(int argc, char **argv);
int gw_cmd_warmup(int argc, char **argv);
int gw_cmd_format(int argc, char **argv);
int gw_cmd_info(int argc, char **argv);
int gw_cmd_status(int argc, char **argv);
int gw_cmd_fsck(int argc, char **argv);
int gw_cmd_gc(int argc, char **argv);
int gw_cmd_config(int argc, char **argv);
int gw_cmd_health(int argc, char **argv);
int gw_cmd_version(int argc, char **argv);

#endif

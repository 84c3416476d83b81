/* A libnvidia-ml.so.1 of our own, with the documented structures and calls of NVML that the agent uses.
 *
 * What it answers stands in the text file named by NVML_STUB, read anew at each call, one "key value" a line:
 *   gpus 2                      driver 550.90.05            supported 1 19          pinned 5 10
 *   gpu0.bus 0 3b 0 (hex)       gpu0.name, .board, .text    gpu0.ecc, .mig, .mode   gpu0.types 558 559
 *   gpu0.caps 1                 gpu0.range 1 19             gpu0.opaque 00ff (hex)  gpu0.active 7 9
 *   gpu0.short 100              its metadata is so many bytes only
 *   type558.name NVIDIA A40-1B  vgpu7.type, .uuid, .state, .driver, .caps, .guest, .opaque
 *   error.<function> 15         what the function returns; error.<function>.0: for GPU (or vGPU) 0 only
 *   hang.<function> 1           it never returns            grows 1                 so often a list grows meanwhile
 * A key that is not there makes its call answer NVML_ERROR_NOT_SUPPORTED.
 *
 * -DOLD_LIBRARY leaves out what came later, and the range in the GPU's metadata with it. -DRELEASE="..." is the
 * driver's version where the file names none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };

#ifndef RELEASE
#define RELEASE "550.90.05"
#endif

typedef struct gpu *nvmlDevice_t;
typedef unsigned int nvmlVgpuInstance_t;

typedef struct {
    unsigned int minVersion, maxVersion;
} nvmlVgpuVersion_t;

typedef struct {
    char busIdLegacy[16];
    unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;

typedef struct {
    unsigned int version, revision;
    char hostDriverVersion[80];
    unsigned int pgpuVirtualizationCaps;
#ifdef OLD_LIBRARY
    unsigned int reserved[7];
#else
    unsigned int reserved[5];
    nvmlVgpuVersion_t hostSupportedVgpuRange;
#endif
    unsigned int opaqueDataSize;
    char opaqueData[4];
} nvmlVgpuPgpuMetadata_t;

typedef struct {
    unsigned int version, revision;
    int guestInfoState;
    char guestDriverVersion[80], hostDriverVersion[80];
    unsigned int reserved[6], vgpuVirtualizationCaps, guestVgpuVersion, opaqueDataSize;
    char opaqueData[4];
} nvmlVgpuMetadata_t;

static char value[20000];

static const char *asked(const char *key)
{
    static char line[20000];
    size_t length = strlen(key);
    const char *path = getenv("NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    const char *found = NULL;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, key, length) && line[length] == ' ')
            found = strcpy(value, line + length + 1);
    }
    if (file)
        fclose(file);
    return found;
}

static const char *of(const char *what, unsigned int number, const char *field)
{
    char key[200];
    snprintf(key, sizeof key, "%s%u.%s", what, number, field);
    return asked(key);
}

static unsigned int number_of(const char *text) { return text ? (unsigned int)strtoul(text, NULL, 10) : 0; }

static unsigned int index_of(nvmlDevice_t device) { return (unsigned int)((size_t)device - 1); }

static int error_of(const char *function, unsigned int number)
{
    char key[200];
    snprintf(key, sizeof key, "hang.%s", function);
    while (asked(key))
        pause();
    snprintf(key, sizeof key, "error.%s.%u", function, number);
    const char *code = asked(key);
    snprintf(key, sizeof key, "error.%s", function);
    return (int)number_of(code ? code : asked(key));
}

#define ANSWER_ERROR(number)                                                                                           \
    do {                                                                                                               \
        int error = error_of(__func__, number);                                                                        \
        if (error)                                                                                                     \
            return error;                                                                                              \
    } while (0)

static int text(const char *found, char *out, unsigned int length)
{
    if (!found)
        return NOT_SUPPORTED;
    if (strlen(found) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(out, found);
    return SUCCESS;
}

static int two(const char *found, unsigned int *first, unsigned int *second)
{
    return found && sscanf(found, "%u %u", first, second) >= 1 ? SUCCESS : NOT_SUPPORTED;
}

static int list(const char *found, unsigned int *count, unsigned int *out)
{
    static unsigned int grown;
    unsigned int room = *count, total = 0;
    char copy[sizeof value];
    if (!found)
        return NOT_SUPPORTED;
    strcpy(copy, found);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "), total++)
        if (out && total < room)
            out[total] = number_of(word);
    *count = total;
    if (out && grown < number_of(asked("grows"))) {
        grown++;
        return INSUFFICIENT_SIZE;
    }
    return total > room ? INSUFFICIENT_SIZE : SUCCESS;
}

/* Two calls: the size, then the content. */
static int sized(const void *content, unsigned int length, void *out, unsigned int *room)
{
    unsigned int given = *room;
    *room = length;
    if (given < length)
        return INSUFFICIENT_SIZE;
    memcpy(out, content, length);
    return SUCCESS;
}

static unsigned int unhex(const char *hex, char *out)
{
    unsigned int length = hex ? (unsigned int)strlen(hex) / 2 : 0, byte;
    for (unsigned int at = 0; at < length && sscanf(hex + 2 * at, "%2x", &byte) == 1; at++)
        out[at] = (char)byte;
    return length;
}

int nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    ANSWER_ERROR(0);
    return SUCCESS;
}

int nvmlShutdown(void)
{
    ANSWER_ERROR(0);
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *out, unsigned int length)
{
    ANSWER_ERROR(0);
    const char *found = asked("driver");
    return text(found ? found : RELEASE, out, length);
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
    ANSWER_ERROR(0);
    *count = number_of(asked("gpus"));
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    ANSWER_ERROR(index);
    *device = (nvmlDevice_t)(size_t)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *info)
{
    ANSWER_ERROR(index_of(device));
    memset(info, 0, sizeof *info);
    const char *bus = of("gpu", index_of(device), "bus");
    if (!bus || sscanf(bus, "%x %x %x", &info->domain, &info->bus, &info->device) != 3)
        return NOT_SUPPORTED;
    snprintf(info->busId, sizeof info->busId, "%08X:%02X:%02X.0", info->domain, info->bus & 0xff, info->device & 0xff);
    return SUCCESS;
}

int nvmlDeviceGetName(nvmlDevice_t device, char *out, unsigned int length)
{
    ANSWER_ERROR(index_of(device));
    return text(of("gpu", index_of(device), "name"), out, length);
}

int nvmlDeviceGetBoardPartNumber(nvmlDevice_t device, char *out, unsigned int length)
{
    ANSWER_ERROR(index_of(device));
    return text(of("gpu", index_of(device), "board"), out, length);
}

int nvmlDeviceGetEccMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    ANSWER_ERROR(index_of(device));
    return two(of("gpu", index_of(device), "ecc"), current, pending);
}

int nvmlDeviceGetVirtualizationMode(nvmlDevice_t device, unsigned int *mode)
{
    ANSWER_ERROR(index_of(device));
    const char *found = of("gpu", index_of(device), "mode");
    *mode = number_of(found);
    return found ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetSupportedVgpus(nvmlDevice_t device, unsigned int *count, unsigned int *out)
{
    ANSWER_ERROR(index_of(device));
    return list(of("gpu", index_of(device), "types"), count, out);
}

int nvmlDeviceGetCreatableVgpus(nvmlDevice_t device, unsigned int *count, unsigned int *out)
{
    ANSWER_ERROR(index_of(device));
    return list(of("gpu", index_of(device), "creatable"), count, out);
}

int nvmlVgpuTypeGetName(unsigned int type, char *out, unsigned int *length)
{
    ANSWER_ERROR(type);
    return text(of("type", type, "name"), out, *length);
}

int nvmlDeviceGetActiveVgpus(nvmlDevice_t device, unsigned int *count, unsigned int *out)
{
    ANSWER_ERROR(index_of(device));
    return list(of("gpu", index_of(device), "active"), count, out);
}

int nvmlVgpuInstanceGetType(nvmlVgpuInstance_t vgpu, unsigned int *type)
{
    ANSWER_ERROR(vgpu);
    const char *found = of("vgpu", vgpu, "type");
    *type = number_of(found);
    return found ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetVgpuMetadata(nvmlDevice_t device, nvmlVgpuPgpuMetadata_t *out, unsigned int *room)
{
    ANSWER_ERROR(index_of(device));
    unsigned int at = index_of(device);
    char whole[20000] = {0};
    nvmlVgpuPgpuMetadata_t *made = (nvmlVgpuPgpuMetadata_t *)whole;
    const char *caps = of("gpu", at, "caps");
    if (!caps)
        return NOT_SUPPORTED;
    made->version = 3;
    made->revision = 1;
    made->pgpuVirtualizationCaps = number_of(caps);
    const char *driver = asked("driver");
    strcpy(made->hostDriverVersion, driver ? driver : RELEASE);
#ifndef OLD_LIBRARY
    two(of("gpu", at, "range"), &made->hostSupportedVgpuRange.minVersion, &made->hostSupportedVgpuRange.maxVersion);
#endif
    made->opaqueDataSize = unhex(of("gpu", at, "opaque"), made->opaqueData);
    unsigned int length = (unsigned int)(made->opaqueData - whole) + made->opaqueDataSize;
    const char *cut = of("gpu", at, "short");
    return sized(whole, cut ? number_of(cut) : length, out, room);
}

int nvmlVgpuInstanceGetMetadata(nvmlVgpuInstance_t vgpu, nvmlVgpuMetadata_t *out, unsigned int *room)
{
    ANSWER_ERROR(vgpu);
    char whole[20000] = {0};
    nvmlVgpuMetadata_t *made = (nvmlVgpuMetadata_t *)whole;
    const char *caps = of("vgpu", vgpu, "caps");
    if (!caps)
        return NOT_SUPPORTED;
    made->version = 3;
    made->vgpuVirtualizationCaps = number_of(caps);
    made->guestInfoState = (int)number_of(of("vgpu", vgpu, "state"));
    made->guestVgpuVersion = number_of(of("vgpu", vgpu, "guest"));
    const char *driver = of("vgpu", vgpu, "driver");
    strcpy(made->guestDriverVersion, driver ? driver : "");
    made->opaqueDataSize = unhex(of("vgpu", vgpu, "opaque"), made->opaqueData);
    unsigned int length = (unsigned int)(made->opaqueData - whole) + made->opaqueDataSize;
    const char *cut = of("vgpu", vgpu, "short");
    return sized(whole, cut ? number_of(cut) : length, out, room);
}

#ifndef OLD_LIBRARY
int nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    ANSWER_ERROR(index_of(device));
    return two(of("gpu", index_of(device), "mig"), current, pending);
}

int nvmlGetVgpuVersion(nvmlVgpuVersion_t *supported, nvmlVgpuVersion_t *current)
{
    ANSWER_ERROR(0);
    if (two(asked("supported"), &supported->minVersion, &supported->maxVersion))
        return NOT_SUPPORTED;
    return two(asked("pinned"), &current->minVersion, &current->maxVersion);
}

int nvmlDeviceGetPgpuMetadataString(nvmlDevice_t device, char *out, unsigned int *room)
{
    ANSWER_ERROR(index_of(device));
    const char *found = of("gpu", index_of(device), "text");
    return found ? sized(found, (unsigned int)strlen(found) + 1, out, room) : NOT_SUPPORTED;
}

int nvmlVgpuInstanceGetMdevUUID(nvmlVgpuInstance_t vgpu, char *out, unsigned int length)
{
    ANSWER_ERROR(vgpu);
    return text(of("vgpu", vgpu, "uuid"), out, length);
}
#endif
